"""Sweeps over several processes: workers of this machine and of Ray give what one process gives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import executors as engines

from .process import CommandLine
from .sweeps import SWEEP, drive, outcomes, started, study


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def test_ray_without_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(Fault, match="the engine ray is not installed"):
        engines.engine(engines.Workers(1, "ray"))


@pytest.mark.slow
def test_two_workers_give_what_one_gives_and_a_killed_one_costs_nothing(tmp_path: Path, cli: CommandLine) -> None:
    options = ["--trials", "4", "--method", "er", "--study"]
    one = cli(*SWEEP, *options, "one", out=tmp_path).document
    with cli.beside(*SWEEP, *options, "two", "--workers", "2", out=tmp_path) as process:
        os.kill(started(tmp_path / "study-two" / "trials" / "0001" / "er-s0" / "journal.jsonl"), signal.SIGKILL)
        done = process.ended(280)
    assert done.returncode == 0, done.stderr
    two = done.document
    assert outcomes(one) == outcomes(two)
    assert [t["state"] for t in two["trials"]] == ["complete"] * 4


RANDOM = ["--trials", "4", "--method", "er", "--workers", "2", "--engine", "ray"]


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_ray_gives_what_one_process_gives_and_a_killed_worker_costs_nothing(tmp_path: Path, cli: CommandLine) -> None:
    pytest.importorskip("ray")
    here = drive(study(tmp_path, 4, name="here"))
    with cli.beside(*SWEEP, *RANDOM, "--study", "ray", out=tmp_path) as process:
        os.kill(started(tmp_path / "study-ray" / "trials" / "0001" / "er-s0" / "journal.jsonl"), signal.SIGKILL)
        done = process.ended(280)
    assert done.returncode == 0, done.stderr
    document = done.document
    assert outcomes(document) == outcomes(here)
    assert [t["state"] for t in document["trials"]] == ["complete"] * 4


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_driver_of_ray_is_killed_and_the_study_resumed(tmp_path: Path, cli: CommandLine) -> None:
    pytest.importorskip("ray")
    here = drive(study(tmp_path, 4, name="here"))
    with cli.beside(*SWEEP, *RANDOM, "--study", "ray", out=tmp_path) as process:
        started(tmp_path / "study-ray" / "trials" / "0002" / "er-s0" / "journal.jsonl")
        process.kill()
    document = json.loads(
        cli.apart("resume", "ray", "--engine", "ray", "--workers", "2", "--json", out=tmp_path).stdout
    )
    assert outcomes(document) == outcomes(here)
    assert [t["state"] for t in document["trials"]] == ["complete"] * 4


@pytest.mark.slow
def test_a_ray_cluster_that_is_absent_or_too_small_is_named(tmp_path: Path, cli: CommandLine) -> None:
    pytest.importorskip("ray")
    absent = cli.apart(*SWEEP, *RANDOM, "--address", "127.0.0.1:9", out=tmp_path, code=2)
    assert "no Ray cluster answers" in json.loads(absent.stdout)["error"]["what"]
    small = cli.apart(*SWEEP, *RANDOM, "sweep.gpus=3", out=tmp_path, code=2)
    assert "too little GPU (a job asks for 3, the largest machine has 0)" in json.loads(small.stdout)["error"]["what"]


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
