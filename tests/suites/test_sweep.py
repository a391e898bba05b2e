"""Sweeps: what they refuse, that selection never sees the test stream, that nothing is lost or counted twice, and what stands at the end."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import Range
from holdfast.suites.runtime import build, folders, jobs
from holdfast.suites.runtime import executors as engines
from holdfast.suites.runtime.console import Console
from holdfast.suites.sweeps import outcome, search, studies, sweep
from holdfast.suites.sweeps.board import Board
from holdfast.suites.tracking.delivery import compare_store
from rich import console

from .process import CommandLine

pytest.importorskip("optuna")
SUITES = Path(sys.executable).with_name("suites")
SWEEP = [
    "sweep",
    "coconut_slurp",
    "--profile",
    "smoke",
    "--sampler",
    "random",
    "--objective",
    "valid/wer/average:min",
    "--json",
]


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def found(document: dict[str, Any]) -> set[tuple[str, Any]]:
    return {(json.dumps(t["params"], sort_keys=True), t["value"]) for t in document["trials"]}


class Here:
    """An engine that runs a job where it is submitted: what the driver does, without processes."""

    slots = 1

    def warm(self, job: Any) -> None: ...

    def submit(self, slot: int, job: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(job(*arguments))
        return future

    def repair(self, slot: int) -> None: ...

    def close(self) -> None: ...


def study(out: Path, trials: int = 3, **changes: Any) -> studies.Study:
    recipe = catalog.recipe("coconut_slurp", "smoke", changes.pop("overrides", []))
    uri = changes.pop("tracking_uri", None)
    asked: dict[str, Any] = {
        "methods": ["er"],
        "trials": trials,
        "sampler": "random",
        "objectives": ["valid/wer/average:min"],
    }
    return studies.create(recipe, studies.Search(**(asked | changes)), device="cpu", out=out, tracking_uri=uri)


def test_the_best_recipe_of_many_fields_can_be_read(tmp_path: Path) -> None:
    """The comment that says the values once ran on over a second line, which is no YAML."""
    made = study(tmp_path, name="wide")
    paths = [
        "train.lr",
        "train.weight_decay",
        "train.clip",
        "model.options.dropout",
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


def started(journal: Path) -> int:
    """Wait until a trial has written points; the process that writes them."""
    for _ in range(12000):
        if journal.exists() and journal.stat().st_size:
            return int((journal.parents[1] / "worker.pid").read_text())
        time.sleep(0.01)
    raise AssertionError("the trial did not begin")


@contextmanager
def sweeping(out: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sweep that goes on beside the test; ended with it."""
    env = {**os.environ, "HOLDFAST_RUNS": str(out), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [str(SUITES), *SWEEP, *arguments], env=env, cwd=out, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "engine", lambda *a, **k: Here())


def drive(made: studies.Study) -> dict[str, Any]:
    return sweep.drive(made, Console(json=True, quiet=True))


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


def test_ray_without_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(Fault, match="the engine ray is not installed"):
        engines.engine(engines.Workers(1, "ray"))


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
    """With the test stream's texts permuted every trial keeps its value, and the run's test metrics change."""
    plain = drive(
        study(tmp_path, 2, name="plain", overrides=["train.epochs=6", "train.epochs_first=6", "train.lr=0.003"])
    )
    real = build.prepare

    def permuted(*arguments: Any, **options: Any) -> Any:
        source: Any = real(*arguments, **options)
        prepared = source.info.prepared
        targets = {**prepared.targets, "test": prepared.targets["test"][::-1]}
        return replace(source, info=replace(source.info, transcripts=replace(prepared, targets=targets)))

    monkeypatch.setattr(build, "prepare", permuted)
    build.forget()
    try:
        other = drive(
            study(tmp_path, 2, name="permuted", overrides=["train.epochs=6", "train.epochs_first=6", "train.lr=0.003"])
        )
    finally:
        build.forget()
    assert found(plain) == found(other)
    assert plain["best"]["params"] == other["best"]["params"]
    summaries = [
        [folders.read_json(Path(t["folder"]) / "er-s0" / "summary.json")["wer/last"] for t in d["trials"]]
        for d in (plain, other)
    ]
    assert summaries[0] != summaries[1]


@pytest.mark.usefixtures("in_process")
def test_a_study_at_its_end(tmp_path: Path) -> None:
    """best.yaml runs; MLflow holds a parent and a child a trial; resuming a finished study gives the same document; tpe after random."""
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
            "select value from metrics where run_uuid = ? and key = 'best/valid/wer/average'", parents
        ).fetchall()
        assert best_values == [(document["best"]["value"],)]


@pytest.mark.usefixtures("in_process")
def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    document = drive(study(tmp_path, 3, objectives=["valid/wer/average", "valid/slu_f1/average:max"]))
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
    unmeasured = study(tmp_path, 1, name="unmeasured", objectives=["valid/retrieval/last"])  # of other methods
    with pytest.raises(Fault, match="no metric valid/retrieval/last"):
        drive(unmeasured)


@pytest.mark.usefixtures("in_process")
def test_a_torn_journal_and_a_trial_begun_by_a_dead_driver(tmp_path: Path) -> None:
    """The torn line is cut; the trial that was asked but never told is taken up under its number with its values."""
    undisturbed = drive(study(tmp_path, 3, name="whole"))
    made = study(tmp_path, 3, name="torn")
    held = studies.open_storage(made)
    trial, values = sweep.ask(made, held, 0)
    del held, trial
    with (made.folder / "optuna.journal").open("ab") as file:
        file.write(b'{"op_code": 5, "worker_id": "x", "tri')
    document = drive(made)
    assert document["trials"][0]["params"] == values
    assert found(document) == found(undisturbed)
    assert [t["state"] for t in document["trials"]] == ["complete"] * 3


@pytest.mark.usefixtures("in_process")
def test_values_drawn_before_a_kill_stay_and_the_others_do_not_shift(tmp_path: Path) -> None:
    """A driver killed between two values of a trial: the rest are drawn as if nothing had happened."""
    ranges = "sweep.params={train.lr: {low: 0.001, high: 0.01}, methods.er.memory_share: {low: 0.3, high: 0.6}, train.clip: {low: 1.0, high: 9.0}}"
    whole = drive(study(tmp_path, 2, name="whole", overrides=[ranges]))
    made = study(tmp_path, 2, name="cut", overrides=[ranges])
    held = studies.open_storage(made)
    real = search.distributions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "distributions", lambda r: dict(list(real(r).items())[:1]))
        sweep.ask(made, held, 0)
    assert found(drive(made)) == found(whole)


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


def test_two_workers_give_what_one_gives_and_a_killed_one_costs_nothing(tmp_path: Path, cli: CommandLine) -> None:
    one = json.loads(cli.apart(*SWEEP, "--trials", "4", "--method", "er", "--study", "one", out=tmp_path).stdout)
    with sweeping(tmp_path, "--trials", "4", "--method", "er", "--study", "two", "--workers", "2") as process:
        os.kill(started(tmp_path / "study-two" / "trials" / "0001" / "er-s0" / "journal.jsonl"), signal.SIGKILL)
        output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    two = json.loads(output)
    assert found(one) == found(two)
    assert [t["state"] for t in two["trials"]] == ["complete"] * 4


def test_kill_the_driver_and_resume(tmp_path: Path, cli: CommandLine) -> None:
    journal = tmp_path / "study-killed" / "trials" / "0001" / "er-s0" / "journal.jsonl"
    with sweeping(tmp_path, "--trials", "3", "--method", "er", "--study", "killed", "--pruner", "median") as process:
        worker = started(journal)
        live = cli.apart("resume", "killed", "--json", out=tmp_path, code=2)
        assert "the study is live" in json.loads(live.stdout)["error"]["what"]
        process.kill()
    for _ in range(200):
        if not Path(f"/proc/{worker}").exists():
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the worker outlived its driver")
    document = json.loads(cli.apart("resume", "killed", "--json", out=tmp_path).stdout)
    assert [t["number"] for t in document["trials"]] == [0, 1, 2]
    assert {t["state"] for t in document["trials"]} <= {"complete", "pruned"}
    answers = list((tmp_path / "study-killed" / "trials" / "0000").glob("answer-*.json"))
    assert len(answers) == 3, "every experience was decided upon"
    whole = json.loads(
        cli.apart(
            *SWEEP, "--trials", "3", "--method", "er", "--study", "whole", "--pruner", "median", out=tmp_path
        ).stdout
    )
    assert found(document) == found(whole)


RANDOM = ["--trials", "4", "--method", "er", "--workers", "2", "--engine", "ray"]


@pytest.mark.usefixtures("in_process")
def test_ray_gives_what_one_process_gives_and_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    here = drive(study(tmp_path, 4, name="here"))
    with sweeping(tmp_path, *RANDOM, "--study", "ray") as process:
        os.kill(started(tmp_path / "study-ray" / "trials" / "0001" / "er-s0" / "journal.jsonl"), signal.SIGKILL)
        output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    document = json.loads(output)
    assert found(document) == found(here)
    assert [t["state"] for t in document["trials"]] == ["complete"] * 4


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_driver_of_ray_is_killed_and_the_study_resumed(tmp_path: Path, cli: CommandLine) -> None:
    pytest.importorskip("ray")
    here = drive(study(tmp_path, 4, name="here"))
    with sweeping(tmp_path, *RANDOM, "--study", "ray") as process:
        started(tmp_path / "study-ray" / "trials" / "0002" / "er-s0" / "journal.jsonl")
        process.kill()
    document = json.loads(
        cli.apart("resume", "ray", "--engine", "ray", "--workers", "2", "--json", out=tmp_path).stdout
    )
    assert found(document) == found(here)
    assert [t["state"] for t in document["trials"]] == ["complete"] * 4


def test_a_ray_cluster_that_is_absent_or_too_small_is_told(tmp_path: Path, cli: CommandLine) -> None:
    pytest.importorskip("ray")
    absent = cli.apart(*SWEEP, *RANDOM, "--address", "127.0.0.1:9", out=tmp_path, code=2)
    assert "no Ray cluster answers" in json.loads(absent.stdout)["error"]["what"]
    small = cli.apart(*SWEEP, *RANDOM, "sweep.gpus=3", out=tmp_path, code=2)
    assert "too little GPU (a job asks for 3, the largest machine has 0)" in json.loads(small.stdout)["error"]["what"]


@pytest.fixture(scope="module")
def postgres(free_port: Callable[[], int]) -> Iterator[str]:
    """A PostgreSQL server of its own; its URL. As root it runs as the user postgres, for it refuses root."""
    pytest.importorskip("psycopg2")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not places:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))  # pytest's folders are closed to other users
    other: dict[str, Any] = {}
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("root has no user postgres to run the server")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        other = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data, port = folder / "data", free_port()

    def do(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **other)
        assert done.returncode == 0, done.stderr

    do(str(places[-1]), "-D", str(data), "-U", "tester", "--auth=trust", "--no-sync")
    control = str(places[-1].with_name("pg_ctl"))
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    do(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg2://tester@127.0.0.1:{port}/postgres"
    finally:
        do(control, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.usefixtures("in_process")
def test_a_study_on_postgresql(tmp_path: Path, postgres: str) -> None:
    """The same values as with the file; a trial that a dead driver had begun is taken up; a name is one study's."""
    file = drive(study(tmp_path, 3, name="file"))
    made = study(tmp_path, 3, name="served", storage=postgres)
    held = studies.open_storage(made)
    _, values = sweep.ask(made, held, 0)
    del held
    document = drive(made)
    assert document["trials"][0]["params"] == values
    assert found(document) == found(file)
    assert not (made.folder / "optuna.journal").exists()
    other = study(tmp_path / "elsewhere", 3, name="served", storage=postgres)
    with pytest.raises(Fault, match="holds another study named 'served'"):
        drive(other)


@pytest.mark.usefixtures("in_process")
def test_a_dead_tracking_server_does_not_stop_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    alive = drive(study(tmp_path, 2, name="alive"))
    made = study(tmp_path, 2, name="dead", tracking_uri="http://127.0.0.1:9")
    assert found(drive(made)) == found(alive)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    document = json.loads(cli.apart("sync", str(made.folder), "--tracking-uri", uri, "--json", out=tmp_path).stdout)
    assert document["undelivered"] == 0
    assert [row["problem"] for row in document["studies"]] == [None]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        names = [name for (name,) in store.execute("select name from runs")]
        assert sorted(names) == sorted(["alive", "dead", *["trial-0", "trial-1"] * 2])
        ended = {status for (status,) in store.execute("select status from runs")}
        assert ended == {"FINISHED"}
    for trial in alive["trials"]:
        assert compare_store(Path(trial["folder"]) / "er-s0") == []
    listed = {row["folder"]: row["mlflow_run_id"] for row in folders.list_runs(tmp_path)}
    assert listed[str(Path(alive["trials"][0]["folder"]) / "er-s0")]


@pytest.mark.usefixtures("in_process")
def test_a_study_goes_on_with_its_own_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(tmp_path, 1)
    drive(made)
    made.plan["trials"] = 2
    real = build.prepare_once
    monkeypatch.setattr(build, "prepare_once", lambda recipe: replace(real(recipe), checksum="another"))
    with pytest.raises(Fault, match="not what this study was begun on"):
        drive(made)


def test_last_is_the_newest_that_is_not_finished_be_it_a_study_or_a_run(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no invocation to resume"):
        folders.newest(tmp_path)
    for name, status in (("a", "finished"), ("b", "interrupted"), ("c", "finished")):
        plan = {"runs": [{"method": "er", "seed": 0, "folder": "er-s0"}]}
        (tmp_path / name / "er-s0").mkdir(parents=True)
        folders.write_json(tmp_path / name / "invocation.json", plan)
        folders.write_json(tmp_path / name / "er-s0" / "run.json", {"status": status})
    assert folders.newest(tmp_path) == str(tmp_path / "b")
    made = study(tmp_path, 2)
    assert folders.newest(tmp_path) == str(made.folder)
    folders.write_json(made.folder / "result.json", {})
    assert folders.newest(tmp_path) == str(tmp_path / "b")


def test_the_board_says_how_things_stand() -> None:
    now = [0.0]
    board = Board("tuned", planned=6, workers=2, clock=lambda: now[0])
    assert board.left() is None
    board.begin(0, {"train.lr": 0.00123, "a.b": "x"})
    board.begin(1, {"train.lr": 0.1, "a.b": "y"})
    board.report(1, 0, 0.5)
    now[0] = 10.0
    board.end(0, "complete", None)
    board.best = "0.9 (trial 0)"
    assert board.counts() == "1 complete, 1 running, 4 waiting"
    assert board.left() == pytest.approx((5 * 10 - 10) / 2)
    board.end(1, "failed", "loss became nan")
    text = io.StringIO()
    board.begin(2, {"train.lr": 0.2, "a.b": "z"})
    console.Console(file=text, width=200).print(board)
    shown = text.getvalue()
    assert "tuned: 1 complete, 1 running, 1 failed, 3 waiting" in shown
    assert "best 0.9 (trial 0)" in shown
    assert "failed (1; last: trial 1): loss became nan" in shown
    assert "lr=0.2, b=z" in shown
    assert board.line(0, "finished").startswith("trial 0: finished; of 6: 1 complete")


@pytest.mark.slow
def test_a_grid_of_runs_on_two_workers_equals_one_after_the_other(tmp_path: Path, cli: CommandLine) -> None:
    arguments = ["run", "coconut_slurp", "--profile", "smoke", "--method", "er", "--seeds", "2", "--json"]
    serial = json.loads(cli.apart(*arguments, out=tmp_path).stdout)
    parallel = json.loads(cli.apart(*arguments, "--workers", "2", out=tmp_path).stdout)
    for a, b in zip(serial["runs"], parallel["runs"], strict=True):
        assert {k: v for k, v in a["metrics"].items() if "seconds" not in k} == {
            k: v for k, v in b["metrics"].items() if "seconds" not in k
        }
    assert (Path(parallel["out"]) / "plots" / "accuracy.png").exists()


@pytest.mark.usefixtures("in_process")
def test_the_best_is_run_again_on_fresh_seeds_beside_the_untuned(tmp_path: Path) -> None:
    made = study(tmp_path, 2)
    document = drive(made)
    again = outcome.rerun_best(made, document, 2, Console(json=True, quiet=True))
    assert again["seeds"] == [1000, 1001]
    assert len(again["best"]) == len(again["default"]) == 2
    d = again["difference"]
    assert d["low"] <= d["mean"] <= d["high"]
