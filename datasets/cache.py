"""Prepared features on disk: content-addressed, checksummed, written atomically, safe for two processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def root() -> Path:
    """``HOLDFAST_CACHE``, else ``~/.cache/holdfast``."""
    return Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast")


def key_digest(key: Mapping[str, Any]) -> str:
    """sha256 of the key as canonical JSON: equal content, equal address."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def whole(folder: Path) -> bool:
    """Whether every file of the manifest is there with its checksum."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return all(_sha256(folder / name) == digest for name, digest in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def get_or_build(key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder of ``key``: as it is if whole, else built by ``build(temporary folder)`` and renamed into place.

    A second process waits for the first; a damaged entry is built again. An OSError (full or read-only disk) passes through and
    leaves nothing half-written.
    """
    base = root()
    folder = base / key_digest(key)
    if not os.access(base, os.W_OK) and whole(folder):  # a cache that somebody else filled
        return folder
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base / f"{folder.name}.lock"):
        if whole(folder):
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        for stale in base.glob(f"{folder.name}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary = base / f"{folder.name}.{uuid.uuid4().hex[:8]}.part"
        temporary.mkdir()
        try:
            build(temporary)
            files = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
            (temporary / MANIFEST).write_text(json.dumps({"key": dict(key), "files": files}, indent=1))
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return folder


def entries() -> list[dict[str, Any]]:
    """What the cache holds: digest, key, bytes, whole or not."""
    rows = []
    for folder in sorted(root().glob("*/")):
        try:
            key = json.loads((folder / MANIFEST).read_text())["key"]
        except (OSError, ValueError, KeyError):
            key = {}
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        rows.append({"digest": folder.name, "key": key, "bytes": size, "whole": whole(folder)})
    return rows


def clean() -> int:
    """Remove every entry; returns the bytes freed."""
    freed = sum(row["bytes"] for row in entries())
    for folder in root().glob("*/"):
        shutil.rmtree(folder)
    for lock in root().glob("*.lock"):
        lock.unlink()
    return freed
