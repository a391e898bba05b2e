"""Removing what is ours: files known by name go, links are unlinked and never followed, the rest stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath


@dataclass
class Plan:
    """What of a folder would go and what stays (``left``).

    ``files`` go first, then those of the ``folders``, deepest first, that are empty by then.
    """

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    size: int = 0  # bytes of ``files``

    def carry_out(self) -> None:
        """Remove; a folder that still holds something stays."""
        for path in self.files:
            path.unlink(missing_ok=True)
        for path in self.folders:
            try:
                path.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise


def plan(folder: Path, ours: Callable[[PurePath, bool], bool]) -> Plan:
    """The plan for ``folder``: ``ours(relative path, is a folder)`` says what may go.

    A folder that is not ours is not looked into. A symbolic link counts as a file whatever it points to.
    """
    made = Plan()

    def walk(inner: Path) -> None:
        with os.scandir(inner) as entries:
            items = sorted(entries, key=lambda item: item.name)
        for item in items:
            path, is_folder = Path(item.path), item.is_dir(follow_symlinks=False)
            if not ours(path.relative_to(folder), is_folder):
                made.left.append(path)
            elif is_folder:
                walk(path)
            else:
                made.files.append(path)
                made.size += item.stat(follow_symlinks=False).st_size
        made.folders.append(inner)

    walk(folder)
    return made
