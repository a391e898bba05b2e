"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from ..config.errors import Fault


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: whole or not at all, and durable. Raises Fault (exit 4) where it cannot be
    written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        what = f"cannot write {path.name}: {error.strerror}"
        next_step = "free some space or choose another folder with --out, then: suites resume last"
        raise Fault.run_failed(what, str(path.parent), next_step) from error
