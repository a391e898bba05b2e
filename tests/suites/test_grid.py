"""Grids: what is refused, that every combination is one ordinary run, what is left at the end, and kill and resume."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from holdfast.analysis.metrics.metric import Metric
from holdfast.suites import api
from holdfast.suites.config import catalog, run_files
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import executors, jobs
from holdfast.suites.sweeps import grid, outcome, points, studies

from .process import CommandLine
from .sweeps import Here

TINY = ["train.epochs=8", "data.options.n_valid=20", "data.options.n_test=40", "data.experiences=2"]
METHODS, SEEDS, TRAIN = ["finetune", "joint"], [0, 1], [60, 120]
N = len(METHODS) * len(SEEDS) * len(TRAIN)


def begun(out: Path, **changes: Any) -> studies.Study:
    asked: dict[str, Any] = {"methods": METHODS, "seeds": SEEDS, "profile": "smoke", "overrides": TINY, "device": "cpu"}
    return api.start_grid("split_digits", {"n_train": TRAIN}, out=out, **(asked | changes))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("grids")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executors, "engine", lambda *a, **k: Here())
        yield


@pytest.fixture(scope="module")
def whole(out: Path, here: None) -> dict[str, Any]:
    """The document of a grid that ran through."""
    return api.run_study(begun(out, name="whole"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dial", "n_train"], "no field with values"),
        (["--dial", "=1:2"], "no field with values"),
        (["--dial", "n_trian=1:2"], "no numeric field 'n_trian' of the data set - did you mean 'n_train'?"),
        (["--dial", "train.lr=1:2"], "no numeric field 'train.lr'"),
        (["--dial", "n_train=60"], "is one value"),
        (["--dial", "n_train=60:"], "are no numbers"),
        (["--dial", "n_train=a:b"], "are no numbers"),
        (["--dial", "n_train=60:nan"], "must be finite"),
        (["--dial", "n_train=60:60.0"], "has a value twice"),
        (["--dial", "n_train=60:120", "--dial", "data.options.n_train=60:90"], "n_train is given twice"),
        (["--dial", "n_train=0:60"], "greater than or equal to 20"),
        (["--dial", "n_train=60:70.5"], "70.5"),
        (["--dial", "n_train=60:120", "--methods", "er,jont"], "no method 'jont'"),
        (["--dial", "n_train=60:120", "--seeds", "200"], "1200 runs: 2 strengths, 3 methods, 200 seeds"),
        (["--dial", "n_train=60:120", "--dry-run"], "--dry-run and --dial exclude each other"),
        (["--dial", "n_train=60:120", "--into", "last"], "--into and --dial exclude each other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(arguments: list[str], message: str, tmp_path: Path, cli: CommandLine) -> None:
    command = ["run", "split_digits", "--profile", "smoke", "--json", *arguments]
    assert message in cli.here(*command, out=tmp_path, code=2).document["error"]["what"]
    assert not list(tmp_path.iterdir()), "nothing is begun"


def test_more_points_are_begun_where_they_are_meant(tmp_path: Path) -> None:
    assert begun(tmp_path, seeds=200, many=True).plan["trials"] == 200 * 2 * 2


def test_values_keep_their_type_and_fields_of_any_numeric_kind_are_found() -> None:
    recipe = catalog.recipe("split_digits", "smoke")
    assert grid.strengths(recipe, ["n_train=60:120", "size=8:16"]) == {
        "data.options.n_train": [60, 120],
        "data.options.size": [8, 16],
    }
    world = catalog.recipe("coconut_world", "smoke")
    found = grid.strengths(world, ["bias=0:.5:1", "data.options.noise=-5:40"])
    assert found == {"data.options.bias": [0.0, 0.5, 1.0], "data.options.noise": [-5, 40]}
    with pytest.raises(Fault, match="there is nothing to set"):
        grid.strengths(world, ["imbalance=2:4"])


def test_what_a_loss_is() -> None:
    share, error, score = Metric("a", True, "share"), Metric("e", False), Metric("r2", True)
    assert [points.loss_of(metric, 0.25) for metric in (share, error, score)] == [0.75, 0.25, -0.25]
    assert [points.loss_words(metric) for metric in (share, error, score)] == ["1 - a", "e", "-r2"]


def test_every_combination_is_an_ordinary_run(whole: dict[str, Any]) -> None:
    assert {row["state"] for row in whole["trials"]} == {"complete"}
    seen = set()
    for row in whole["trials"]:
        method, seed = row["params"]["method"], row["params"]["seed"]
        run = Path(row["folder"]) / f"{method}-s{seed}"
        assert run_files.read(run / "run.json")["status"] == "finished"
        assert run_files.read(run / "summary.json")["accuracy/last"] == row["value"]
        rows = run_files.read(Path(row["folder"]) / "invocation.json")["data"]["rows"]
        assert rows["train"] == row["params"]["data.options.n_train"]
        seen.add((method, seed, rows["train"]))
    assert len(seen) == N
    assert [row["params"]["seed"] for row in whole["trials"]] == sorted(SEEDS * 4), "whole seeds, one after another"


def test_the_csv_holds_the_runs_and_forgetting_is_what_joint_training_is_better(whole: dict[str, Any]) -> None:
    with (Path(whole["out"]) / points.POINTS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["method", "seed", "n_train", "accuracy/last", "loss", "forgetting"]
    assert len(rows) == N
    losses = {(row["method"], row["seed"], row["n_train"]): float(row["loss"]) for row in rows}
    for row in rows:
        assert float(row["loss"]) == pytest.approx(1 - float(row["accuracy/last"]), abs=1e-5)
        if row["method"] == "joint":
            assert row["forgetting"] == ""
        else:
            own = losses["finetune", row["seed"], row["n_train"]] - losses["joint", row["seed"], row["n_train"]]
            assert float(row["forgetting"]) == pytest.approx(own, abs=2e-5)
    assert any(float(row["forgetting"]) > 0.1 for row in rows if row["method"] == "finetune")


def test_tables_and_picture_stand_in_the_folder_and_in_mlflow(whole: dict[str, Any], out: Path) -> None:
    folder = Path(whole["out"])
    assert (folder / "plots" / points.PICTURE).exists()
    assert {(one["of"], one["method"]) for one in whole["variance"]} == {
        ("loss", "finetune"),
        ("loss", "joint"),
        ("forgetting", "finetune"),
    }
    text = (folder / points.TEXT).read_text()
    assert "Assumptions in doubt at 0.05" in text
    assert "| loss | finetune | n_train |" in text
    with closing(sqlite3.connect(out / "mlflow.db")) as store:
        (parent,) = [run for (run,) in store.execute("select run_uuid from runs where name = 'whole'")]
        tags = dict(store.execute("select key, value from tags where run_uuid = ?", (parent,)))
        children = "select count(*) from tags where key = 'mlflow.parentRunId' and value = ?"
        assert store.execute(children, (parent,)).fetchone() == (N,)
        keys = {key for (key,) in store.execute("select key from metrics where run_uuid = ?", (parent,))}
    assert "loss/finetune/n_train 60" in keys
    assert "| loss | finetune | n_train |" in tags["mlflow.note.content"]
    (table,) = (out / "mlartifacts").rglob(f"{parent}/artifacts/table.json")
    held = json.loads(table.read_text())
    assert held["columns"][:3] == ["of", "method", "source"]
    assert len(held["data"]) == 3 * 3, "seed, strength and residual of three series"


def test_what_a_person_reads_and_that_resuming_changes_nothing(
    whole: dict[str, Any], out: Path, cli: CommandLine, here: None
) -> None:
    said = cli.here("resume", "whole", out=out).stdout
    assert "forgetting" in said
    assert "analysis of variance" in said
    assert json.loads(cli.here("resume", "whole", "--json", out=out).stdout) == json.loads(json.dumps(whole))
    assert outcome.deliver(out, f"sqlite:///{out / 'mlflow.db'}") == [{"folder": whole["out"], "problem": None}]
    with pytest.raises(Fault, match="a grid has all its points"):
        api.run_study(studies.find("whole", out), trials=3)  # type: ignore[arg-type]


class _Killed(Here):
    """An engine whose process dies when it is given its third job."""

    def __init__(self) -> None:
        self.jobs = 0

    def submit(self, slot: int, job: Any, *arguments: Any) -> Future[Any]:
        self.jobs += 1
        if self.jobs > 2:
            raise KeyboardInterrupt
        return super().submit(slot, job, *arguments)


def test_a_grid_that_was_killed_goes_on_with_the_points_it_lacks(
    whole: dict[str, Any], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is read back from the disk, where JSON has put its names in another order."""
    killed = _Killed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executors, "engine", lambda *a, **k: killed)
        made = begun(out, name="killed", methods=["finetune"])
        with pytest.raises(Fault, match="stopped"):
            api.run_study(made)
    done = {path: path.stat().st_mtime_ns for path in made.folder.rglob("summary.json")}
    begun_trials = sorted(path.name for path in (made.folder / "trials").iterdir())
    assert len(done) == 2
    assert len(begun_trials) == 3
    assert not (made.folder / "result.json").exists()
    again = studies.find("killed", out)
    assert again is not None
    monkeypatch.setattr(executors, "engine", lambda *a, **k: Here())
    document = api.run_study(again)
    assert document["lacking"] == 0
    expected = [point | {"forgetting": None} for point in whole["points"] if point["method"] == "finetune"]
    assert document["points"] == expected, "every point once, with the value of a grid that was not stopped"
    assert {path: path.stat().st_mtime_ns for path in done} == done, "what had ended was not run again"


def test_one_seed_has_no_analysis_and_a_grid_without_joint_no_forgetting(
    out: Path, here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    document = api.run_study(begun(out, name="one", seeds=[0], methods=["finetune"]))
    assert document["variance"] == []
    assert "needs 2 or more" in document["refused"][0]["why"]
    text = (Path(document["out"]) / points.TEXT).read_text()
    assert "forgetting is not told from the rest" in text
    assert "No analysis of loss of finetune" in text


def test_points_that_failed_are_said(out: Path, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = jobs.run_trial

    def fail(folder: str, *arguments: Any) -> dict[str, Any]:
        if folder.endswith("0001"):
            return {"state": "failed", "error": "no room", "metrics": {}, "warnings": []}
        return real(folder, *arguments)

    monkeypatch.setattr(jobs, "run_trial", fail)
    document = api.run_study(begun(out, name="failing", seeds=[0, 1], methods=["finetune"]))
    assert document["lacking"] == 1
    assert "no degree of freedom" in document["refused"][0]["why"]
    assert "no room" in (Path(document["out"]) / points.TEXT).read_text()
