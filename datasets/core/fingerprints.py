"""What files hold, as sha256: the key of everything made from them.

A file is hashed once; the hash is kept while the file is the same: real path, device, inode, size, time of change of
the content and of the inode. The hashes lie in the cache, in one SQLite file; where that cannot be read or written,
files are hashed anew.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from . import cache, limits
from .errors import DataError

SETTLED = (
    2.0  # seconds: a file that changed so lately may change again within one tick of its clock, and is not remembered
)
State = tuple[int, int, int, int, int]


def _state(status: os.stat_result) -> State:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def _store() -> Iterator[sqlite3.Connection | None]:
    """The kept hashes; None where they cannot be had."""
    path = cache.root() / cache.HASHES
    try:
        if path.is_symlink():
            raise OSError("a link is none of our files")
        cache.make_root()
        connection = sqlite3.connect(path, timeout=20)
        try:
            connection.execute("create table if not exists hashes (path text primary key, state text, sha256 text)")
            connection.execute(f"PRAGMA application_id = {cache.HASHES_ID}")
        except sqlite3.Error:
            connection.close()
            raise
    except (OSError, sqlite3.Error):
        yield None
        return
    with closing(connection):
        yield connection


def of(paths: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> list[str]:
    """sha256 of the content of each file. Raises DataError where one cannot be read, has more bytes than one input
    may take, or changes meanwhile."""
    hashes: list[str] = []
    new: list[tuple[str, str, str]] = []
    with _store() as store:
        for number, path in enumerate(paths):
            try:
                real = os.path.realpath(path)
                status = os.stat(real)
                if not stat.S_ISREG(status.st_mode):
                    raise DataError(f"{path}: unreadable (no regular file)")
                limits.require(status.st_size, f"{path}: {status.st_size} bytes")
                state = _state(status)
                row = _kept(store, real, state)
                if row is None:
                    row = cache.sha256(Path(real))
                    if _state(os.stat(real)) != state:
                        raise DataError(f"{path}: changed while it was read")
                    if time.time() - max(state[3:]) / 1e9 > SETTLED:
                        new.append((real, repr(state), row))
            except OSError as error:
                raise DataError(f"{path}: unreadable ({error.strerror})") from error
            hashes.append(row)
            if progress is not None and number % 500 == 0:
                progress(number, len(paths))
        if store is not None and new:
            with suppress(sqlite3.Error, UnicodeEncodeError), store:
                store.executemany("insert or replace into hashes values (?, ?, ?)", new)
    return hashes


def unchanged(paths: Sequence[Path], content: Sequence[str]) -> None:
    """Raise DataError where a file no longer holds ``content``, the answer of :func:`of` before it was read."""
    for path, before, now in zip(paths, content, of(paths), strict=True):
        if before != now:
            raise DataError(f"{path}: changed while it was read")


def _kept(store: sqlite3.Connection | None, real: str, state: State) -> str | None:
    if store is None:
        return None
    try:
        row = store.execute("select sha256 from hashes where path = ? and state = ?", (real, repr(state))).fetchone()
    except (sqlite3.Error, UnicodeEncodeError):
        return None
    return str(row[0]) if row else None
