"""Sweeps that were killed: nothing is lost or counted twice, whatever stores the study and the runs."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import build, folders
from holdfast.suites.sweeps import search, studies, sweep
from holdfast.suites.tracking.delivery import compare_store

from .process import CommandLine, lives
from .sweeps import SWEEP, drive, outcomes, started, study


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_a_torn_journal_and_a_trial_begun_by_a_dead_driver(tmp_path: Path) -> None:
    """The torn line is cut; the trial that was begun but never ended goes on under its number with its values."""
    undisturbed = drive(study(tmp_path, 3, name="whole"))
    made = study(tmp_path, 3, name="torn")
    storage = studies.open_storage(made)
    trial, values = sweep.ask(made, storage, 0)
    del storage, trial
    with (made.folder / "optuna.journal").open("ab") as file:
        file.write(b'{"op_code": 5, "worker_id": "x", "tri')
    document = drive(made)
    assert document["trials"][0]["params"] == values
    assert outcomes(document) == outcomes(undisturbed)
    assert [t["state"] for t in document["trials"]] == ["complete"] * 3


@pytest.mark.usefixtures("in_process")
def test_values_drawn_before_a_kill_stay_and_the_others_do_not_shift(tmp_path: Path) -> None:
    """A driver killed between two values of a trial: the rest are drawn as if nothing had happened."""
    ranges = (
        "sweep.params={train.lr: {low: 0.001, high: 0.01}, methods.er.memory_share: {low: 0.2, high: 0.6}, "
        "train.clip: {low: 1.0, high: 9.0}}"
    )
    whole = drive(study(tmp_path, 2, name="whole", overrides=[ranges]))
    made = study(tmp_path, 2, name="cut", overrides=[ranges])
    storage = studies.open_storage(made)
    real = search.distributions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "distributions", lambda r: dict(list(real(r).items())[:1]))
        sweep.ask(made, storage, 0)
    assert outcomes(drive(made)) == outcomes(whole)


def test_kill_the_driver_and_resume(tmp_path: Path, cli: CommandLine) -> None:
    """The driver of a study and its worker are processes of their own, and so is the driver that goes on."""
    journal = tmp_path / "study-killed" / "trials" / "0001" / "er-s0" / "journal.jsonl"
    options = ["--trials", "3", "--method", "er", "--pruner", "median"]
    with cli.beside(*SWEEP, *options, "--study", "killed", out=tmp_path) as process:
        worker = started(journal)
        live = cli.here("resume", "killed", "--json", out=tmp_path, code=2)
        assert "the study is live" in live.document["error"]["what"]
        process.kill()
    for _ in range(1200):
        if not lives(worker):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the worker outlived its driver")
    document = cli("resume", "killed", "--json", out=tmp_path).document
    assert [t["number"] for t in document["trials"]] == [0, 1, 2]
    assert {t["state"] for t in document["trials"]} <= {"complete", "pruned"}
    answers = list((tmp_path / "study-killed" / "trials" / "0000").glob("answer-*.json"))
    assert len(answers) == 2, "every experience was decided upon"
    whole = cli(*SWEEP, *options, "--study", "whole", out=tmp_path).document
    assert outcomes(document) == outcomes(whole)


@pytest.fixture(scope="module")
def postgres(free_port: Callable[[], int]) -> Iterator[str]:
    """A PostgreSQL server of its own; its URL. As root it runs as the user postgres, for it refuses root."""
    pytest.importorskip("psycopg2")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
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

    do(str(programs[-1]), "-D", str(data), "-U", "tester", "--auth=trust", "--no-sync")
    control = str(programs[-1].with_name("pg_ctl"))
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    do(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg2://tester@127.0.0.1:{port}/postgres"
    finally:
        do(control, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.usefixtures("in_process")
@pytest.mark.slow
def test_a_study_on_postgresql(tmp_path: Path, postgres: str) -> None:
    """The same values as with the file; a trial that a dead driver had begun goes on; a name is one study's."""
    file = drive(study(tmp_path, 3, name="file"))
    made = study(tmp_path, 3, name="served", storage=postgres)
    storage = studies.open_storage(made)
    _, values = sweep.ask(made, storage, 0)
    del storage
    document = drive(made)
    assert document["trials"][0]["params"] == values
    assert outcomes(document) == outcomes(file)
    assert not (made.folder / "optuna.journal").exists()
    other = study(tmp_path / "elsewhere", 3, name="served", storage=postgres)
    with pytest.raises(Fault, match="holds another study named 'served'"):
        drive(other)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_a_dead_tracking_server_does_not_stop_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    alive = drive(study(tmp_path, 2, name="alive"))
    made = study(tmp_path, 2, name="dead", tracking_uri="http://127.0.0.1:9")
    assert outcomes(drive(made)) == outcomes(alive)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    document = cli.here("sync", str(made.folder), "--tracking-uri", uri, "--json", out=tmp_path).document
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
    with pytest.raises(Fault, match="no runs and no studies"):
        folders.newest(tmp_path)
    for name, status in (("a", "finished"), ("b", "interrupted"), ("c", "finished")):
        plan = {"suite": "s", "recipe": "", "data": {}, "runs": [{"method": "er", "seed": 0, "folder": "er-s0"}]}
        (tmp_path / name / "er-s0").mkdir(parents=True)
        folders.write_json(tmp_path / name / "invocation.json", plan)
        folders.write_json(tmp_path / name / "er-s0" / "run.json", {"status": status})
    assert folders.newest(tmp_path) == str(tmp_path / "b")
    made = study(tmp_path, 2)
    assert folders.newest(tmp_path) == str(made.folder)
    assert folders.newest(tmp_path, with_studies=False) == str(tmp_path / "b"), "what compares runs takes no study"
    folders.write_json(made.folder / "result.json", {})
    assert folders.newest(tmp_path) == str(tmp_path / "b")
