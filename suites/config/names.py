"""Names that become files and folders: what is allowed, and what leads out of a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import Fault

MOST = 100  # characters
_PLAIN = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))"  # devices of Windows, whose shares are mounted elsewhere too
    r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*",
    re.IGNORECASE | re.ASCII,
)


def plain(name: Any) -> bool:
    """Whether ``name`` is one part of a path on every system.

    Letters, digits, ``_ -`` and single dots between them, at most :data:`MOST`.
    """
    return isinstance(name, str) and len(name) <= MOST and _PLAIN.fullmatch(name) is not None


def require_plain(what: str, names: Iterable[Any]) -> None:
    """Raise ValueError with those of ``names`` that are not plain."""
    wrong = [ascii(name)[: MOST + 2] for name in names if not plain(name)]
    if wrong:
        raise ValueError(f"no name for a {what}: {', '.join(wrong)} (letters, digits, _ and -, at most {MOST})")


def refuse_links(folder: Path) -> None:
    """Raise Fault where a symbolic link below ``folder`` leads out of it: what we write there would land elsewhere."""
    base = folder.resolve()
    for directory, folders, files in os.walk(base):
        for name in (*folders, *files):
            path = Path(directory, name)
            if path.is_symlink() and not path.resolve().is_relative_to(base):
                what = f"a symbolic link leads out of the folder, to {path.resolve()}"
                next_step = "put the files themselves there, then go on; or start anew with: suites run NAME"
                raise Fault.data(what, str(path), next_step)
