"""``suites runs remove``: nothing but our own files in a run of ours goes, and nobody is surprised."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import folders, remove

from .process import CommandLine

SUITES = Path(sys.executable).with_name("suites")


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


def invocation(out: Path, name: str = "suite-1", **changes: Any) -> Path:
    """An invocation of two runs as the runner leaves it, in small."""
    folder = out / name
    runs = [{"method": "er", "seed": seed, "folder": f"er-s{seed}"} for seed in (0, 1)]
    document = {"schema": 1, "suite": "coconut_slurp", "uid": "ab12", "recipe": "name: x", "data": {}, "runs": runs}
    document |= changes
    for run in runs:
        for file in (
            "run.json",
            "log.txt",
            "lock",
            ".tracker.json.77.part",
            "plots/matrix.png",
            "checkpoint/1.pt",
            "checkpoint/1.json",
            "checkpoint/.2.pt.part",
            "checkpoint/.2.json.77.part",
        ):
            path = folder / str(run["folder"]) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"status": "finished"}' if file == "run.json" else "")
    (folder / "plots").mkdir()
    (folder / "plots" / "accuracy.png").write_text("")
    (folder / "invocation.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious")
    return folder


def test_an_invocation_and_one_run_of_it_go_whole(out: Path, cli: CommandLine) -> None:
    folder, other = invocation(out), invocation(out, "suite-2")
    before = snapshot(other)
    cli.here("runs", "remove", "suite-1/er-s0", "--yes", out=out)
    assert not (folder / "er-s0").exists()
    assert (folder / "er-s1" / "run.json").exists()
    done = cli.here("runs", "remove", str(folder), "--yes", "--json", out=out)
    assert done.document == {"removed": str(folder), "left": []}
    assert not folder.exists()
    assert snapshot(other) == before


def test_a_real_invocation_goes_whole(out: Path, cli: CommandLine) -> None:
    run = ["run", "supremix_tabular", "--profile", "smoke", "--method", "l1", "--json"]
    done = cli.here(*run, out=out)
    report = done.document
    assert json.loads((Path(report["runs"][0]["folder"]) / "run.json").read_text())["schema"] == 1
    cli.here("runs", "remove", report["out"], "--yes", out=out)
    assert not Path(report["out"]).exists()


@pytest.mark.parametrize("marker", ["run.json", "invocation.json"])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '"x"',
        "no json",
        '{"status": "finished"}',
        '{"schema": 1}',
        '{"schema": 2, "suite": "x", "uid": "a", "recipe": "b", "runs": []}',
        '{"schema": 1, "suite": "x", "uid": "a", "recipe": "b", "runs": "all"}',
        '{"schema": 1, "method": "../x", "suite": "x", "uid": "a", "status": "b"}',
    ],
)
def test_a_folder_with_a_file_of_that_name_is_not_ours(marker: str, text: str, out: Path) -> None:
    folder = out / "photos"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "log.txt").write_text("my log")
    (folder / marker).write_text(text)
    before = snapshot(out)
    with pytest.raises(Fault) as caught:
        remove.target_of(folder, out)
    assert caught.value.exit_code in (2, 3)
    assert snapshot(out) == before


def test_what_is_not_ours_in_a_run_is_named_and_stays(out: Path, outside: Path, cli: CommandLine) -> None:
    before = snapshot(outside)
    folder = invocation(out)
    run = folder / "er-s0"
    (run / "notes.md").write_text("mine")
    (run / "plots" / "mine.svg").write_text("mine")
    (run / "checkpoint" / "mine.safetensors").write_text("mine")
    (run / "data").mkdir()
    (run / "data" / "run.json").write_text("mine")
    (folder / "photos").symlink_to(outside)
    (run / "journal.jsonl").symlink_to(outside / "precious.txt")  # our name: the link goes, what it points to stays
    done = cli.here("runs", "remove", "suite-1", "--yes", "--json", out=out)
    left = {str(Path(path).relative_to(folder)) for path in done.document["left"]}
    assert left == {
        "er-s0/notes.md",
        "er-s0/plots/mine.svg",
        "er-s0/checkpoint/mine.safetensors",
        "er-s0/data",
        "photos",
    }
    assert {name for name, text in snapshot(folder).items() if text != "/"} == {
        *(left - {"er-s0/data"}),
        "er-s0/data/run.json",
    }
    assert snapshot(outside) == before


@pytest.mark.parametrize(
    "name", ["../outside", "..", ".", "", "/etc", "a/b", "a\\b", "er-s0\n", None, 3, ["er-s0"], "con", "C:er"]
)
def test_a_hostile_list_of_runs_reaches_nothing(name: Any, out: Path, outside: Path) -> None:
    (outside / "run.json").write_text('{"status": "finished"}')
    folder = invocation(out, runs=[{"method": "er", "seed": 0, "folder": name}])
    before = snapshot(out.parent)
    with pytest.raises(Fault, match="has no folder in it"):
        remove.target_of(folder, out)
    assert snapshot(out.parent) == before


def test_a_run_that_is_a_link_reaches_nothing(out: Path, outside: Path) -> None:
    folder = invocation(out)
    (outside / "run.json").write_text('{"status": "finished"}')
    (folder / "er-s2").symlink_to(outside)
    document = json.loads((folder / "invocation.json").read_text())
    document["runs"].append({"method": "er", "seed": 2, "folder": "er-s2"})
    (folder / "invocation.json").write_text(json.dumps(document))
    before = snapshot(out.parent)
    for target in (folder, folder / "er-s2", out / "link"):
        (out / "link").unlink(missing_ok=True)
        (out / "link").symlink_to(invocation(out.parent, "elsewhere") if target.name == "link" else outside)
        with pytest.raises(Fault):
            remove.target_of(target, out)
    (out / "link").unlink()
    assert {path: text for path, text in snapshot(out.parent).items() if not path.startswith("elsewhere")} == before


def test_outside_the_folder_of_runs_the_path_is_named_twice(out: Path, tmp_path: Path, cli: CommandLine) -> None:
    elsewhere = invocation(tmp_path, "elsewhere")
    for again in ([], ["--outside", str(tmp_path)]):
        done = cli.here("runs", "remove", str(elsewhere), "--yes", *again, out=out, code=2)
        assert f"--outside {elsewhere}" in done.stderr
    assert (elsewhere / "invocation.json").exists()
    cli.here("runs", "remove", "../elsewhere", "--yes", "--outside", str(elsewhere), out=out)
    assert not elsewhere.exists()


def test_without_a_terminal_nothing_goes_unless_yes_is_said(out: Path, cli: CommandLine) -> None:
    folder = invocation(out)
    before = snapshot(out)
    done = cli.apart("runs", "remove", "suite-1", out=out, code=2, input="y\n")
    assert "there is no terminal" in done.stderr
    assert "--yes" in done.stderr
    assert snapshot(out) == before
    assert folder.exists()


@pytest.mark.parametrize(("answer", "code", "there"), [("n", 130, True), ("", 130, True), ("y", 0, False)])
def test_at_a_terminal_it_asks(answer: str, code: int, there: bool, out: Path) -> None:
    folder = invocation(out)
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [SUITES, "runs", "remove", str(folder), "--out", str(out)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(mine, f"{answer}\n".encode())
    _, shown = process.communicate(timeout=60)
    os.close(mine)
    os.close(theirs)
    assert process.returncode == code, shown
    assert f"delete the invocation {folder}" in shown
    assert folder.exists() is there


def test_a_live_run_is_not_removed(out: Path) -> None:
    folder = invocation(out)
    before = snapshot(folder)
    target = remove.target_of(folder, out)
    with folders.locked(folder / "er-s1"), pytest.raises(Fault, match="is live"):
        target.carry_out()
    assert snapshot(folder).keys() == before.keys()


def test_a_run_is_known_by_its_own_mark_where_its_invocation_is_gone(out: Path) -> None:
    folder = out / "er-s0"
    folder.mkdir()
    state = {"schema": 1, "uid": "ab", "status": "finished", "suite": "coconut_slurp", "method": "er", "seed": 0}
    (folder / "run.json").write_text(json.dumps(state))
    remove.target_of(folder, out).carry_out()
    assert not folder.exists()
