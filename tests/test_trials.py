"""The trials can fail: each planted fault is found. docs/reliability.md is what its file gives; the audit finds one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .test_results_pages import script
from .trials import command, kills
from .trials.forks import GIB, Ended, Forks
from .trials.hostile_recipes import of_recipes
from .trials.hostile_values import of_environment, of_options
from .trials.promises import KINDS, PROMISES, Trial, counted, of_command, table

reliability, audit = script("reliability"), script("audit")
MESSAGE = "error: no such thing\nwhere: here\nnext:  do another\n"
FINE: dict[str, Any] = {
    "arguments": ("run",),
    "code": 2,
    "out": "",
    "err": MESSAGE,
    "seconds": 1.0,
    "peak": 1,
    "by": "",
    "outside": (),
}


def broken(**changes: Any) -> list[str]:
    """The promises that a command broke which did all right but for ``changes``."""
    return [promise for promise, seen in of_command(Ended(**{**FINE, **changes})).items() if seen]


@pytest.mark.parametrize(
    ("changes", "promise"),
    [
        ({"code": 4}, "message"),
        ({"code": 1}, "message"),
        ({"code": -11}, "message"),
        ({"err": "it does not work"}, "message"),
        ({"err": f"Traceback (most recent call last):\n  x\n{MESSAGE}"}, "traceback"),
        ({"outside": ("open /x",)}, "outside"),
        ({"err": MESSAGE.replace("thing", "x" * 5000)}, "short"),
        ({"peak": 3 * GIB}, "memory"),
        ({"by": "memory", "code": -9}, "memory"),
        ({"seconds": 31.0}, "time"),
        ({"by": "time", "code": -9}, "time"),
    ],
)
def test_each_promise_can_be_broken(changes: dict[str, Any], promise: str) -> None:
    assert broken() == []
    assert broken(**changes) == [promise]


def test_an_input_that_must_be_refused_and_is_not() -> None:
    taken = Ended(**{**FINE, "code": 0})
    assert of_command(taken, refused=True)["refused"]
    assert not of_command(Ended(**FINE), refused=True)["refused"]


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A server without the libraries, whose program does what its words say."""
    with Forks(tmp_path_factory.mktemp("forks"), "tests.trials.programs:faulty", preloaded=()) as made:
        yield made


@pytest.mark.parametrize(
    ("words", "by", "code"),
    [("say", "", 0), ("fail", "", 1), ("write", "", 0), ("sleep", "time", -9), ("fill", "memory", -9)],
)
def test_a_program_that_does_wrong_is_seen(words: str, by: str, code: int, forks: Forks, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    ended = forks.run([words], work, dict(os.environ), seconds=3.0, memory=0.25 * GIB)
    assert (ended.by, ended.code) == (by, code)
    assert ended.out == ("said\n" if words == "say" else "")
    assert ("Traceback" in ended.err) == (words == "fail")
    assert [Path(line.split()[1]).name for line in ended.outside] == (["stray"] if words == "write" else [])


def test_a_program_is_killed_when_it_is_asked_for(forks: Forks, tmp_path: Path) -> None:
    ended = forks.run(["sleep"], tmp_path, dict(os.environ), kill_after=0.1)
    assert (ended.by, ended.code) == ("killed", -9)
    assert ended.seconds < 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A folder of runs with one, delivered."""
    from holdfast.suites import api

    out = tmp_path_factory.mktemp("trials")
    shutil.copy(empty_store, out / "mlflow.db")
    api.run("supremix_tabular", methods=["l1"], profile="smoke", out=out, device="cpu")
    return out


def test_a_changed_number_a_lost_point_and_a_half_written_file_are_found(run: Path, tmp_path: Path) -> None:
    assert not any(kills.of_runs(run, run).values())
    (folder,) = kills.runs_of(run)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (copied,) = kills.runs_of(other)
    summary = json.loads((copied / "summary.json").read_text())
    name = next(name for name in sorted(summary) if name.startswith("mae"))
    (copied / "summary.json").write_text(json.dumps({**summary, name: summary[name] + 1e-9}))
    (copied / ".run.json.part").touch()
    (other / "tmp").mkdir(exist_ok=True)
    (other / "tmp" / "holdfast-0-x.lock").touch()
    seen = kills.of_runs(run, other)
    assert name in seen["numbers"]
    assert seen["parts"].endswith(".run.json.part")
    assert seen["locks"] == "holdfast-0-x.lock"
    lines = (copied / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (copied / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert "journal" in kills.difference(folder, copied)
    assert "only in the store" in kills.of_store(other, [copied])["points"]


def test_the_table_counts_and_fits_a_terminal() -> None:
    rows = [Trial("inputs", "a", dict.fromkeys(PROMISES, "")).row(), Trial("inputs", "b", {"time": "31 s"}).row()]
    counts = counted(rows)
    assert next((r["tried"], r["held"]) for r in counts if r["promise"] == "time") == (2, 1)
    text = table(counts)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("\n!") == 1


def test_the_same_seed_draws_the_same_inputs_and_there_are_many() -> None:
    made = [one.name for each in (of_options, of_recipes, of_environment) for one in each()]
    assert len(made) == len(set(made)) > 2000
    given = command.parsed(["--size", "nightly", "--only", "inputs", "--seed", "3"])
    assert (given.size, given.only, given.seed) == ("nightly", ["inputs"], 3)
    assert set(command.JOBS) == set(KINDS)


def test_the_page_is_what_its_file_gives() -> None:
    text = reliability.PAGE.read_text(encoding="utf-8")
    assert text == reliability.page(*reliability.read()), f"run: {reliability.COMMAND}"


def test_what_did_not_hold_stands_on_the_page(tmp_path: Path) -> None:
    rows = [Trial("disks", "full | a", {"parts": "/tmp/holdfast-trials-x/trials/00001/out/a.part"}).row()]
    (tmp_path / "raw").write_text("\n".join(json.dumps(row) for row in [{"command": "python tests/trials"}, *rows]))
    document = reliability.recorded([tmp_path / "raw"])
    again = reliability.recorded([tmp_path / "raw"], document)
    for kind, found in again["kinds"].items():
        assert found["first"] == {name: document["kinds"][kind][name] for name in ("date", "commit", "trials", "held")}
    assert reliability.recorded([tmp_path / "raw"], again) == again, "the first stay the first"
    assert reliability.recorded([], again) == again, "what was not tried again stays"
    assert "At first, with commit" in reliability.page(again, {"entered": "today", "advisories": []})
    page = reliability.page(document, {"entered": "2026-01-01", "advisories": []})
    assert "| full \\| a | no half-written file is left | DIR/out/a.part |" in page
    assert "1 trials, 0 of them with every promise held" in page


def test_an_affected_version_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    advisory = {"id": "CVE-2000-1", "package": "Py_YAML", "affected": "<6", "fixed": "6"}
    assert audit.affected({"py-yaml": "5.9"}, [advisory]) == [("py-yaml", "5.9", "CVE-2000-1", "6", "")]
    assert audit.affected({"py-yaml": "6.0"}, [advisory]) == []
    assert audit.main(["--to", str(tmp_path / "sbom.json")]) == 0, capsys.readouterr().out
    bill = json.loads((tmp_path / "sbom.json").read_text())
    names = {one["name"] for one in bill["components"]}
    assert {"torch", "mlflow", "pyyaml"} <= names
    known = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {name for one in bill["dependencies"] for name in (one["ref"], *one["dependsOn"])} <= known
    (tmp_path / "wrong.yaml").write_text("advisories: [{id: CVE-1, package: x}]")
    with pytest.raises(ValueError, match="no advisory"):
        audit.read(tmp_path / "wrong.yaml")
