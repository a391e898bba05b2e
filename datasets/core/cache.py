"""Prepared features on disk: content-addressed, checksummed, written atomically, safe for two processes.

An entry is a folder named by the digest of its key, with a manifest that holds this key: by that, and by nothing
else, it is known as ours.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import sqlite3
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from . import removal

MANIFEST = "manifest.json"
TAG = "CACHEDIR.TAG"  # written into a folder that we made: what lies in it was put there for us
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Prepared data of holdfast; suites data clean empties it.\n"
HASHES = "hashes.sqlite"  # see :mod:`.fingerprints`
PICKLE_KEY = "pickle.key"  # the key that seals pickles (methods/training/sealed.py); no entry, and not emptied
HASHES_ID = 0x484F4C44  # SQLite's application_id of that file
_NAME = re.compile(r"(?P<digest>[0-9a-f]{64})(?P<kind>|\.lock|\.[0-9a-f]{8}\.part)")


def root() -> Path:
    """``HOLDFAST_CACHE``, else ``~/.cache/holdfast``."""
    return Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast")


def key_digest(key: Mapping[str, Any]) -> str:
    """sha256 of the key as canonical JSON: equal content, equal address."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of an entry of ours (begun or whole).

    None where the folder has none, or one that belongs to another key or names other things than files in it.
    """
    try:
        document = json.loads((folder / MANIFEST).read_text())
        digest = key_digest(document["key"])
        names = list(document["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(document["files"], dict) or not folder.name.startswith(digest):
        return None
    return document if all(name == Path(name).name and name not in ("", "..") for name in names) else None


def whole(folder: Path) -> bool:
    """Whether every file of the manifest is there with its checksum."""
    manifest = manifest_of(folder)
    if manifest is None or folder.name != key_digest(manifest["key"]):
        return False
    try:
        return all(sha256(folder / name) == wanted for name, wanted in manifest["files"].items())
    except OSError:
        return False


@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file; with ``wait`` False a BlockingIOError where another process does. No link is followed."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            path.unlink(missing_ok=True)
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not path.exists() or os.stat(path).st_ino != os.fstat(handle).st_ino:
                continue  # removed while we waited: nobody else would wait for us on this one
            yield
            return
        finally:
            os.close(handle)


def make_root() -> Path:
    """The cache's folder, made and marked as ours where it was not there or empty."""
    base = root()
    base.mkdir(parents=True, exist_ok=True)
    if not any(base.iterdir()):
        (base / TAG).write_text(TAG_TEXT)
    return base


def get_or_build(
    key: Mapping[str, Any], build: Callable[[Path], None], check: Callable[[Path], bool] | None = None
) -> Path:
    """The folder of ``key``: as it is if whole, else built by ``build(temporary folder)`` and renamed into place.

    ``check(folder)`` says whether it is; None: :func:`whole`, which reads all of it.
    A second process waits for the first; a damaged entry is built again, and what lies in its place without being ours
    is set aside. An OSError (full or read-only disk) passes through and leaves nothing half-written.
    """
    base = root()
    check = check or whole
    folder = base / key_digest(key)
    if not os.access(base, os.W_OK) and check(folder):  # a cache that somebody else filled
        return folder
    make_root()
    with _locked(base / f"{folder.name}.lock"):
        if check(folder):
            return folder
        _make_room(folder)
        for stale in base.glob(f"{folder.name}.*.part"):
            _remove(stale)
        temporary = base / f"{folder.name}.{uuid.uuid4().hex[:8]}.part"
        temporary.mkdir()
        manifest: dict[str, Any] = {"key": dict(key), "files": {}}
        try:
            (temporary / MANIFEST).write_text(json.dumps(manifest))  # a killed build is known as ours
            build(temporary)
            manifest["files"] = {p.name: sha256(p) for p in sorted(temporary.iterdir()) if p.name != MANIFEST}
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1))
            os.replace(temporary, folder)
        except BaseException:
            with suppress(OSError):
                removal.plan(temporary, lambda path, is_folder: True).carry_out()
            raise
    return folder


def _make_room(folder: Path) -> None:
    """Free an entry's place: a link is unlinked, our files go, everything else is moved beside it."""
    if folder.is_symlink():
        folder.unlink()
    _remove(folder)
    if folder.exists():
        aside = folder.with_name(f"{folder.name}.aside-{uuid.uuid4().hex[:8]}")
        folder.rename(aside)
        warnings.warn(f"{folder}: no whole entry of ours; what lay there is now {aside}", stacklevel=3)


def _remove(folder: Path) -> removal.Plan:
    """Remove what is ours of an entry, or of an unfinished one, whose files no manifest names yet.

    Nothing without our manifest.
    """
    manifest = None if folder.is_symlink() else manifest_of(folder)
    if manifest is None:
        return removal.Plan(left=[folder])
    known = {MANIFEST, *manifest["files"]}
    plan = removal.plan(
        folder, lambda path, is_folder: not is_folder and (path.name in known or folder.suffix == ".part")
    )
    plan.carry_out()
    return plan


def entries() -> list[dict[str, Any]]:
    """What the cache holds of ours: digest, key, bytes, whole or not."""
    rows = []
    for folder in sorted(root().glob("*/")):
        name, manifest = _NAME.fullmatch(folder.name), manifest_of(folder)
        if manifest is not None and name and not name["kind"]:
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            rows.append({"digest": folder.name, "key": manifest["key"], "bytes": size, "whole": whole(folder)})
    return rows


class Cleaned(NamedTuple):
    """Bytes freed; what was not ours and stays; entries that another process builds at this moment."""

    freed: int
    left: list[Path]
    busy: list[Path]


def clean() -> Cleaned:
    """Remove our entries.

    A symbolic link is unlinked where it is an entry (by its name, by what it points to, or by lying in a folder that we
    made); what it points to stays.
    """
    base = root()
    freed, left, busy = 0, [], []
    for path in sorted(base.iterdir()) if base.is_dir() else []:
        name = _NAME.fullmatch(path.name)
        if path.is_symlink():
            if name or (base / TAG).is_file() or manifest_of(path.resolve()) is not None:
                path.unlink()
            else:
                left.append(path)
        elif name and path.is_dir() and manifest_of(path) is not None:
            try:
                with _locked(base / f"{name['digest']}.lock", wait=False):
                    plan = _remove(path)
            except BlockingIOError:
                busy.append(path)
                continue
            freed += plan.size
            left += plan.left
        elif path.name in (HASHES, f"{HASHES}-journal") and _our_hashes(base / HASHES):
            freed += path.stat().st_size
        elif path.name not in (TAG, PICKLE_KEY) and not (name and name["kind"] == ".lock" and _empty_file(path)):
            left.append(path)
    _remove_locks(base)
    if _our_hashes(base / HASHES):
        for path in (base / HASHES, base / f"{HASHES}-journal"):
            path.unlink(missing_ok=True)
    return Cleaned(freed, left, busy)


def _empty_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == 0


def _our_hashes(path: Path) -> bool:
    """Whether this is the file of :mod:`.fingerprints`."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA application_id").fetchone()[0] == HASHES_ID)
    except sqlite3.Error:
        return False


def _remove_locks(base: Path) -> None:
    """Lock files that nobody holds."""
    for path in base.glob("*.lock"):
        if _NAME.fullmatch(path.name) and _empty_file(path):
            try:
                with _locked(path, wait=False):
                    path.unlink()
            except BlockingIOError:
                continue
