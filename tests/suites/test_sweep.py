"""Sweeps: what they refuse, that selection never sees the test stream, and what a study holds at its end."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from holdfast.datasets.core.table import Table
from holdfast.suites.config import catalog, run_files
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.sections import Range
from holdfast.suites.runtime import build, jobs
from holdfast.suites.runtime.console import Console
from holdfast.suites.sweeps import outcome, search, studies

from .process import CommandLine
from .sweeps import drive, outcomes, study


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def test_the_best_recipe_of_many_fields_can_be_read(tmp_path: Path) -> None:
    """The comment that says the values once ran on over a second line, which is no YAML."""
    made = study(tmp_path, name="wide")
    paths = [
        "train.lr",
        "train.weight_decay",
        "train.clip",
        "train.gamma",
        "methods.er.memory_share",
        "train.warmup_steps",
    ]
    row = {
        "number": 3,
        "params": dict(
            zip(paths, [0.0012345678901234, 0.012345678901234, 1.2345678901234, 0.12345678901234, 0.2, 12], strict=True)
        ),
    }
    text = outcome.best_file(made, row)
    (tmp_path / "best.yaml").write_text(text)
    best = catalog.recipe(str(tmp_path / "best.yaml"), None)
    assert best.train.lr == row["params"]["train.lr"]  # type: ignore[index]
    assert best.defaults == ("er",)
    first = text.splitlines()[0]
    assert first.startswith("# Trial 3 of the study wide")
    assert all(path in first for path in paths)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampler", "tpee"], "did you mean 'tpe'"),
        (["--pruner", "medan"], "did you mean 'median'"),
        (["--engine", "slurm"], "unknown engine 'slurm'"),
        (["--objective", "accuracy/last"], "would select on the test stream"),
        (["--objective", "valid/accuracy/last:up"], "is no direction"),
        (
            ["--objective", "valid/wer/average", "--objective", "cost/steps", "--pruner", "median"],
            "cannot prune several",
        ),
        (["--objective", "cost/steps", "--pruner", "median"], "measured after every experience"),
        (["--method", "er", "--method", "joint"], "tunes one method"),
        (["--method", "errr"], "no method 'errr'"),
        (["--sampler", "grid"], "a grid needs choices or a step"),
        (["--study", "a/b"], "is no name for a study"),
        (["--study", "none", "--resume"], "there is no study 'none'"),
        (["--resume"], "needs the name of the study"),
        (["--address", "here:1"], "belongs to --engine ray"),
        (["--trials", "0"], "--trials"),
        (["--workers", "0"], "--workers"),
        (["--storage", "nonsense://x"], "the storage does not answer"),
        (["sweep.params={train.lr: {low: 1, high: 0.1}}"], "must be below high"),
        (["sweep.params={train.lr: {low: 0.1}}"], "give choices, or low and high"),
        (["sweep.params={train.lr: {low: 0, high: 1, log: true}}"], "log needs low above 0"),
        (
            ["sweep.params={train.lrr: {low: 0.1, high: 1}, methods.coconut.temperature: {low: -1, high: 1}}"],
            "2 errors",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    cli: CommandLine,
) -> None:
    command = ["sweep", "coconut_slurp", "--profile", "smoke", "--json", *arguments]
    assert message in cli.here(*command, out=tmp_path, code=2).document["error"]["what"]


def test_the_space_of_every_recipe_and_method() -> None:
    for row in catalog.recipes():
        recipe = catalog.recipe(row["name"], "smoke")
        for method in recipe.defaults:
            assert search.distributions(search.space(recipe, method))


def test_grids() -> None:
    ranges = {"a": Range(choices=(1, "x")), "b": Range(low=0.1, high=0.3, step=0.1), "c": Range(low=1, high=2)}
    points = search.grid(ranges)
    assert len(points) == 2 * 3 * 2
    assert [p["b"] for p in points[:6:2]] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.usefixtures("in_process")
def test_test_labels_cannot_reach_the_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the labels of the test rows permuted every trial keeps its value, and the run's test metrics change."""
    plain = drive(study(tmp_path, 2, name="plain"))
    real = build.prepare

    def permuted(*arguments: Any, **options: Any) -> Any:
        source: Any = real(*arguments, **options)
        columns = source.splits["test"].columns
        table = Table({**columns, "label": columns["label"].roll(1)})
        return replace(source, splits={**source.splits, "test": table})

    monkeypatch.setattr(build, "prepare", permuted)
    build.forget()
    try:
        other = drive(study(tmp_path, 2, name="permuted"))
    finally:
        build.forget()
    assert outcomes(plain) == outcomes(other)
    assert plain["best"]["params"] == other["best"]["params"]
    summaries = [
        [run_files.read(Path(t["folder"]) / "er-s0" / "summary.json")["nll/last"] for t in d["trials"]]
        for d in (plain, other)
    ]
    assert summaries[0] != summaries[1]


@pytest.mark.usefixtures("in_process")
def test_a_study_at_its_end(tmp_path: Path) -> None:
    """best.yaml runs; MLflow holds a parent and a child a trial; resuming a finished study gives the same document.

    The sampler is tpe, which begins with random values.
    """
    made = study(tmp_path, 3, name="one", sampler="tpe")
    document = drive(made)
    values = [t["value"] for t in document["trials"]]
    assert document["best"]["value"] == min(values)
    assert len({json.dumps(t["params"]) for t in document["trials"]}) == 3
    best = catalog.recipe(str(made.folder / "best.yaml"), None)
    catalog.resolve(best)
    assert best.defaults == ("er",)
    assert best.train.lr == document["best"]["params"]["train.lr"]
    assert {p.name for p in (made.folder / "plots").iterdir()} >= {"history.png", "slice.png"}
    again = studies.find("one", tmp_path)
    assert again is not None
    assert drive(again) == document
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in store.execute("select run_uuid, key, value from tags"):
            tags.setdefault(run, {})[key] = value
        parents = [run for run, t in tags.items() if t.get("holdfast.role") == "invocation"]
        assert len(parents) == 1
        children = [t for t in tags.values() if t.get("mlflow.parentRunId") == parents[0]]
        assert sorted(t["mlflow.runName"] for t in children) == ["trial-0", "trial-1", "trial-2"]
        names = {name for (name,) in store.execute("select name from runs where run_uuid = ?", parents)}
        assert names == {"one"}
        best_values = store.execute(
            "select value from metrics where run_uuid = ? and key = 'best/valid/nll/average'", parents
        ).fetchall()
        assert best_values == [(document["best"]["value"],)]
        note = tags[parents[0]]["mlflow.note.content"]
        assert "minimize valid/nll/average" in note
        params = dict(store.execute("select key, value from params where run_uuid = ?", parents))
        for path, text in search.describe(search.space(made.recipe, "er")):
            assert params[f"space.{path}"] == text
            assert f"| {path} | {text} |" in note
        (best_run,) = [run for run, t in tags.items() if t["mlflow.runName"] == f"trial-{document['best']['number']}"]
        assert f"/runs/{best_run})" in note.split("\n\n")[1], "a link that is not folded away"
    (table,) = (tmp_path / "mlartifacts").rglob("table.json")
    held = json.loads(table.read_text())
    assert held["columns"][:3] == ["trial", "state", "valid/nll/average"]
    assert len(held["data"]) == 3


@pytest.mark.usefixtures("in_process")
def test_optunas_own_tools_find_seed_folder_metrics_and_intermediate_values(tmp_path: Path) -> None:
    """Through Optuna alone, as ``optuna-dashboard`` reads the journal; there is no pruner."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    params = "sweep.params={methods.er.memory_rows: {choices: [24, 1]}}"
    rows = ["methods.er.memory_share=null", "methods.er.memory_rows=24"]
    made = study(tmp_path, 2, name="shown", sampler="grid", overrides=[*rows, params])
    document = drive(made)
    storage = JournalStorage(JournalFileBackend(str(made.folder / "optuna.journal")))
    whole, failed = optuna.load_study(study_name="shown", storage=storage).trials
    run = made.folder / whole.user_attrs["folder"]
    summary = run_files.read(run / "summary.json")
    assert whole.user_attrs["seed"] == 0
    assert whole.user_attrs["mlflow_run_id"] == run_files.read(run / "run.json")["mlflow_run_id"]
    for name in ("accuracy/average", "accuracy/forgetting", "valid/nll/average"):
        assert whole.user_attrs[name] == summary[name]
    assert sorted(whole.intermediate_values) == [0, 1]
    assert whole.intermediate_values[1] == pytest.approx(whole.value)
    assert failed.user_attrs["error"] == document["trials"][1]["error"]
    assert (made.folder / failed.user_attrs["folder"]).is_dir()
    assert "valid/nll/average" not in failed.user_attrs


@pytest.mark.usefixtures("in_process")
def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    document = drive(study(tmp_path, 3, objectives=["valid/nll/average", "valid/accuracy/average:max"]))
    assert all(len(t["values"]) == 2 for t in document["trials"])
    assert document["best"]
    assert (Path(document["out"]) / "plots" / "pareto.png").exists()
    for row in document["best"]:
        for other in document["trials"]:
            assert not (other["values"][0] < row["values"][0] and other["values"][1] > row["values"][1])


@pytest.mark.usefixtures("in_process")
def test_failures_are_results_and_end_a_hopeless_sweep(tmp_path: Path) -> None:
    rows = ["methods.er.memory_share=null", "methods.er.memory_rows=24"]
    params = "sweep.params={methods.er.memory_rows: {choices: [1, 24]}}"
    document = drive(study(tmp_path, 2, sampler="grid", overrides=[*rows, params]))
    assert [t["state"] for t in document["trials"]] == ["fail", "complete"]
    assert "memory of 1 rows" in document["trials"][0]["error"]
    hopeless = study(
        tmp_path, 9, name="hopeless", overrides=[*rows, "sweep.params={methods.er.memory_rows: {choices: [1]}}"]
    )
    with pytest.raises(Fault, match="5 trials in a row failed alike"):
        drive(hopeless)
    of_others: dict[str, Any] = {
        "suite": "coconut_slurp",
        "objectives": ["valid/retrieval/last"],
    }  # of methods that learn with texts
    unmeasured = study(tmp_path, 1, name="unmeasured", **of_others)
    with pytest.raises(Fault, match="no metric valid/retrieval/last"):
        drive(unmeasured)


@pytest.mark.usefixtures("in_process")
def test_equal_failures_are_those_that_differ_in_numbers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter(range(100))

    def answer(*arguments: Any) -> dict[str, Any]:
        return {"state": "failed", "error": f"loss became non-finite by iteration {next(counter)}", "metrics": {}}

    monkeypatch.setattr(jobs, "run_trial", answer)
    with pytest.raises(Fault, match="5 trials in a row failed alike"):
        drive(study(tmp_path, 9))


def test_no_password_is_shown(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        studies.open_storage(study(tmp_path, storage="postgresql://someone:secret@127.0.0.1:9/none"))
    assert "secret" not in caught.value.where + caught.value.what


@pytest.mark.usefixtures("in_process")
def test_the_best_is_run_again_on_fresh_seeds_beside_the_untuned(tmp_path: Path) -> None:
    made = study(tmp_path, 2)
    document = drive(made)
    again = outcome.rerun_best(made, document, 2, Console(json=True, quiet=True))
    assert again["seeds"] == [1000, 1001]
    assert len(again["best"]) == len(again["default"]) == 2
    d = again["difference"]
    assert d["low"] <= d["mean"] <= d["high"]
    outcome.keep_rerun(made, document | {"rerun": again}, Console(json=True, quiet=True))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        notes = "select t.value from tags t join runs r using (run_uuid) where r.name = ? and t.key = ?"
        (note,) = store.execute(notes, (made.plan["study"], "mlflow.note.content")).fetchone()
        fresh = "select run_uuid from tags where key = 'seed' and value in ('1000', '1001')"
        ids = [run for (run,) in store.execute(fresh)]
    assert len(ids) == 4
    assert all(f"/runs/{run})" in note for run in ids), "reruns of the best and of the untuned recipe"
    assert f"Trial {document['best']['number']} beside the untuned recipe" in note
    assert outcome.deliver(tmp_path, f"sqlite:///{tmp_path / 'other.db'}")[0]["problem"] is None
