"""The cache: two processes at once, damage, a read-only folder, a build that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from holdfast.datasets import cache

BUILD = """
import os, pathlib, sys, time
from holdfast.datasets import cache
def build(folder):
    with open(sys.argv[1], "a") as f: f.write("built\\n")
    time.sleep(0.5)
    (folder / "x.bin").write_bytes(b"x" * 1000)
print(cache.get_or_build({"kind": "race"}, build))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path, text: str = "one") -> None:
    (folder / "a.txt").write_text(text)


def test_two_processes_build_once(root: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    command = [sys.executable, "-c", BUILD, str(calls)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [p.returncode for p in both] == [0, 0]
    assert calls.read_text() == "built\n"
    assert len(answers) == 1
    assert cache.whole(Path(answers.pop()))


def test_a_process_killed_while_building_leaves_nothing_that_counts(root: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(calls)], stdout=subprocess.PIPE, cwd=tmp_path)
    while not calls.exists():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    folder = cache.get_or_build({"kind": "race"}, write)
    assert (folder / "a.txt").exists()
    assert not list(root.glob("*.part"))


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_a_damaged_entry_is_built_again(damage: str, root: Path) -> None:
    key = {"kind": "damage"}
    folder = cache.get_or_build(key, write)
    file = folder / "a.txt"
    if damage == "flip":
        file.write_text("two")
    elif damage == "truncate":
        file.write_text("")
    elif damage == "remove":
        file.unlink()
    else:
        (folder / cache.MANIFEST).write_text("{")
    assert not cache.whole(folder)
    assert (cache.get_or_build(key, write) / "a.txt").read_text() == "one"
    assert cache.whole(folder)


def test_a_whole_entry_is_not_built_again(root: Path) -> None:
    cache.get_or_build({"kind": "once"}, write)
    cache.get_or_build({"kind": "once"}, lambda folder: pytest.fail("built twice"))
    assert [row["whole"] for row in cache.entries()] == [True]
    assert cache.clean() >= 3
    assert cache.entries() == []


def test_a_failed_build_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        cache.get_or_build({"kind": "full"}, fail)
    assert not list(root.glob("*/"))


def test_a_read_only_cache_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache.get_or_build({"kind": "shared"}, write)
    for lock in root.glob("*.lock"):
        lock.unlink()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    assert cache.get_or_build({"kind": "shared"}, lambda folder: pytest.fail("built again")) == folder
    assert not list(root.glob("*.lock")), "nothing may be written into a read-only folder"
