"""The cache: two processes at once, damage, a read-only folder, a build that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from holdfast.datasets.core import cache

BUILD = """
import os, pathlib, sys, time
from holdfast.datasets.core import cache
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
    with pytest.warns(UserWarning, match="no whole entry of ours") if damage == "manifest" else nullcontext():
        assert (cache.get_or_build(key, write) / "a.txt").read_text() == "one"
    assert cache.whole(folder)


def test_a_whole_entry_is_not_built_again(root: Path) -> None:
    cache.get_or_build({"kind": "once"}, write)
    cache.get_or_build({"kind": "once"}, lambda folder: pytest.fail("built twice"))
    assert [row["whole"] for row in cache.entries()] == [True]
    assert cache.clean().freed >= 3
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


def snapshot(folder: Path) -> dict[str, str]:
    """Every path below ``folder`` with its text or link."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else "/"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """A tree outside that nothing may touch."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "precious.txt").write_text("precious")
    return folder


def test_clean_leaves_what_is_not_ours_and_names_it(root: Path, sentinel: Path) -> None:
    before = snapshot(sentinel)
    root.mkdir()  # it was there before us, with other things in it
    like_ours = ["f" * 64, "e" * 64, f"{'d' * 64}.0123abcd.part"]
    for name in ("photos", ".hidden", *like_ours):
        (root / name).mkdir()
        (root / name / "mine.txt").write_text("mine")
    (root / ("e" * 64) / cache.MANIFEST).write_text('{"key": {"kind": "x"}, "files": {"mine.txt": ""}}')
    (root / "notes.lock").write_text("")
    (root / f"{'c' * 64}.lock").write_text("a lock file of ours is empty")
    (root / "letter.txt").write_text("a letter")
    (root / "current").symlink_to(sentinel)
    ours = cache.get_or_build({"kind": "ours"}, write)
    foreign = {path: text for path, text in snapshot(root).items() if not path.startswith(ours.name)}
    done = cache.clean()
    assert not ours.exists()
    assert done.freed > 0
    assert snapshot(root) == foreign
    named = {path.name for path in done.left}
    assert named == {path.split("/")[0] for path in foreign}
    assert snapshot(sentinel) == before


@pytest.mark.parametrize("name", ["a" * 64, "link", "b" * 64 + ".lock", f"{'c' * 64}.0123abcd.part"])
@pytest.mark.parametrize("to", ["folder", "file", "nowhere"])
def test_a_link_in_our_cache_is_unlinked_and_its_target_stays(name: str, to: str, root: Path, sentinel: Path) -> None:
    before = snapshot(sentinel)
    cache.get_or_build({"kind": "ours"}, write)
    (root / name).symlink_to(
        {"folder": sentinel, "file": sentinel / "deep/precious.txt", "nowhere": sentinel / "absent"}[to]
    )
    assert cache.clean().left == []
    assert sorted(path.name for path in root.iterdir()) == [cache.TAG]
    assert snapshot(sentinel) == before


def test_foreign_things_in_an_entry_stay(root: Path, sentinel: Path) -> None:
    before = snapshot(sentinel)
    folder = cache.get_or_build({"kind": "ours"}, write)
    (folder / "mine.txt").write_text("mine")
    (folder / "sub").mkdir()
    (folder / "away").symlink_to(sentinel)
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to(sentinel / "deep" / "precious.txt")  # our name, not our file: the link goes
    done = cache.clean()
    assert sorted(path.name for path in done.left) == ["away", "mine.txt", "sub"]
    assert sorted(path.name for path in folder.iterdir()) == ["away", "mine.txt", "sub"]
    assert snapshot(sentinel) == before


@pytest.mark.parametrize("name", ["../../outside/deep/precious.txt", "/etc/hostname", "..", "", "a/b"])
def test_a_manifest_that_names_other_places_is_not_ours(name: str, root: Path, sentinel: Path) -> None:
    before = snapshot(sentinel)
    folder = cache.get_or_build({"kind": "ours"}, write)
    manifest = json.loads((folder / cache.MANIFEST).read_text())
    (folder / cache.MANIFEST).write_text(json.dumps({**manifest, "files": {name: "0"}}))
    assert not cache.whole(folder)
    assert cache.clean().left == [folder]
    assert snapshot(sentinel) == before


def test_what_lies_in_an_entrys_place_is_set_aside(root: Path, sentinel: Path) -> None:
    before = snapshot(sentinel)
    key = {"kind": "ours"}
    place = root / cache.key_digest(key)
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    with pytest.warns(UserWarning, match="no whole entry of ours"):
        folder = cache.get_or_build(key, write)
    assert cache.whole(folder)
    assert [path.joinpath("mine.txt").read_text() for path in root.glob(f"{folder.name}.aside-*")] == ["mine"]
    cache.clean()
    place.symlink_to(sentinel)
    (root / f"{place.name}.lock").symlink_to(sentinel / "made")
    assert not cache.get_or_build(key, write).is_symlink()
    assert snapshot(sentinel) == before


def test_an_entry_that_is_being_built_is_not_removed(root: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(calls)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    while not calls.exists():
        time.sleep(0.01)
    done = cache.clean()
    folder = Path(process.communicate(timeout=60)[0].strip())
    assert [path.suffix for path in done.busy] == [".part"]
    assert cache.whole(folder)


def test_an_unfinished_build_of_a_killed_process_is_removed(root: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(calls)], stdout=subprocess.PIPE, cwd=tmp_path)
    while not calls.exists():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert list(root.glob("*.part"))
    assert cache.clean().left == []
    assert sorted(path.name for path in root.iterdir()) == [cache.TAG]
