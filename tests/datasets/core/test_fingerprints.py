"""Hashes of files: right when a file changed behind its name, size and time, and not made twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from holdfast.datasets.core import cache, fingerprints
from holdfast.datasets.core.errors import DataError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "SETTLED", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are hashed."""
    names: list[str] = []
    real = cache.sha256

    def count(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(cache, "sha256", count)
    return names


def write(path: Path, text: str, when: int = 1_000_000_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (when, when))
    time.sleep(0.02)  # a tick of the clock of the inode's change
    return path


def test_a_second_start_hashes_nothing(tmp_path: Path, hashed: list[str]) -> None:
    files = [write(tmp_path / f"{k}", str(k)) for k in range(3)]
    first = fingerprints.of(files)
    assert sorted(hashed) == ["0", "1", "2"]
    assert fingerprints.of(files) == first
    assert len(hashed) == 3
    assert len(set(first)) == 3


def test_another_root_with_equal_names_sizes_and_times(tmp_path: Path) -> None:
    a, b = (write(tmp_path / root / "x", text) for root, text in (("a", "one"), ("b", "two")))
    assert a.stat().st_mtime_ns == b.stat().st_mtime_ns
    assert fingerprints.of([a]) != fingerprints.of([b])


@pytest.mark.parametrize("how", ["in place", "replaced", "link"])
def test_a_change_that_keeps_name_size_and_time_is_seen(how: str, tmp_path: Path) -> None:
    file = write(tmp_path / "x", "one")
    named = file
    if how == "link":
        named = tmp_path / "link"
        named.symlink_to(file)
    before = fingerprints.of([named])
    if how == "in place":
        write(file, "two")
    elif how == "replaced":
        os.replace(write(tmp_path / "y", "two"), file)
    else:
        named.unlink()
        named.symlink_to(write(tmp_path / "y", "two"))
    assert fingerprints.of([named]) != before


def test_a_file_that_changed_just_now_is_not_remembered(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "SETTLED", 60.0)
    file = write(tmp_path / "x", "one")
    fingerprints.of([file])
    fingerprints.of([file])
    assert hashed == ["x", "x"]


@pytest.mark.parametrize("harm", ["text", "link", "folder", "other database", "read-only"])
def test_a_store_that_cannot_be_used_costs_time_alone(harm: str, root: Path, tmp_path: Path, hashed: list[str]) -> None:
    file = write(tmp_path / "x", "one")
    root.mkdir()
    store, outside = root / cache.HASHES, tmp_path / "outside.txt"
    outside.write_text("precious")
    if harm == "text":
        store.write_text("no database, but long enough to be read as one" * 20)
    elif harm == "link":
        store.symlink_to(outside)
    elif harm == "folder":
        store.mkdir()
    elif harm == "other database":
        with sqlite3.connect(store) as other:
            other.execute("create table hashes (x)")
    else:
        shutil.rmtree(root)
        root.write_text("no folder at all")
    text = store.read_bytes() if store.is_file() else b""
    assert fingerprints.of([file]) == fingerprints.of([file])
    assert hashed == ["x", "x"]
    assert outside.read_text() == "precious"
    if harm in ("text", "link"):
        assert store.read_bytes() == text


def test_the_store_is_cleaned_with_the_cache(root: Path, tmp_path: Path) -> None:
    fingerprints.of([write(tmp_path / "x", "one")])
    assert (root / cache.HASHES).is_file()
    assert cache.clean().left == []
    assert sorted(path.name for path in root.iterdir()) == [cache.TAG]
    with sqlite3.connect(root / cache.HASHES) as other:  # a user's own database of that name
        other.execute("create table mine (x)")
    assert [path.name for path in cache.clean().left] == [cache.HASHES]


def test_missing_and_changing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: unreadable"):
        fingerprints.of([tmp_path / "absent"])
    file = write(tmp_path / "x", "one")
    content = fingerprints.of([file])
    fingerprints.unchanged([file], content)
    write(file, "two")
    with pytest.raises(DataError, match="x: changed while it was read"):
        fingerprints.unchanged([file], content)
