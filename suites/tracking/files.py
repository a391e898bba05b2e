"""Files that are written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..config.errors import Fault

PART = re.compile(r"\..+\.(?P<process>\d+)\.part")  # a file that is being written, and by whom
STALE = 600.0  # seconds after which a part is nobody's, whoever has the number of its process now


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


def remove_parts(folder: Path) -> None:
    """Delete what processes that were killed had begun to write in ``folder``; what a live one writes stays."""
    for path in folder.glob(".*.part"):
        named = PART.fullmatch(path.name)
        with suppress(OSError):  # another process may be first
            if named and (not _lives(int(named["process"])) or time.time() - path.lstat().st_mtime > STALE):
                path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return process != os.getpid()  # this one writes nothing when it begins


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold ``lock`` against all processes of this machine, waiting for it; the file goes with its last owner."""
    while True:
        number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(number, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), os.stat(lock)):
                break
        os.close(number)  # the owner before removed the file: lock the one that is there now
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            lock.unlink()
        os.close(number)
