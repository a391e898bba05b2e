"""A method of two stages with three optimizers and running losses of every image: killed in either stage, it resumes to the same numbers.
Corrupted CIFAR-10 through the command line: the stand-in, a released layout, an archive, and damaged ones.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.suites.tracking.journal import comparable

from ..datasets import trees
from . import process

SMALL = ["run", "cdvg_cmnist", "--profile", "smoke", "--method", "cdvg_lff", "--json"]


def suites(*arguments: str, out: Path, kill_at: str = "") -> tuple[int, Any]:
    done = process.run(*arguments, cwd=out, kill_at=kill_at, environment={"HOLDFAST_RUNS": str(out)})
    return done.returncode, json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    """A folder for runs that has MLflow's tables already: making them takes seconds."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    out = tmp_path_factory.mktemp("reference")
    shutil.copy(empty_store, out / "mlflow.db")
    _, report = suites(*SMALL, out=out)
    return Path(report["runs"][0]["folder"])


@pytest.mark.parametrize("point", ["update:6", "iteration:12"])
def test_a_run_killed_in_either_stage_resumes(point: str, reference: Path, tmp_path: Path) -> None:
    code, _ = suites(*SMALL, out=tmp_path, kill_at=point)
    assert code == -signal.SIGKILL
    code, report = suites("resume", "last", "--json", out=tmp_path)
    assert code == 0
    folder = Path(report["runs"][0]["folder"])
    assert comparable(folder / "journal.jsonl") == comparable(reference / "journal.jsonl")
    assert (folder / "plots" / "translations-0.png").exists()
    assert (folder / "plots" / "groups.png").exists()
    mine, theirs = (json.loads((f / "summary.json").read_text()) for f in (folder, reference))
    assert (
        mine["translator/content_kept"] == theirs["translator/content_kept"]
    )  # of the translator's stage, which is over at "iteration"


def test_a_failed_gate_stops_the_run_with_a_message(tmp_path: Path) -> None:
    """The smoke translator has had a few steps only: the gate must say so and leave no traceback."""
    code, report = suites(*SMALL, "methods.cdvg_lff.gate=stop", out=tmp_path)
    assert code != 0
    assert "does not keep the content" in report["error"]["what"]


CORRUPTED = ["run", "cdvg_ccifar10", "--profile", "smoke", "--json"]


def test_corrupted_digits_run_and_are_reported(tmp_path: Path) -> None:
    code, report = suites(*CORRUPTED, "--method", "cdvg", out=tmp_path)
    assert code == 0
    assert report["runs"][0]["status"] == "finished"
    assert (Path(report["runs"][0]["folder"]) / "plots" / "translations-0.png").exists()


def test_a_released_layout_runs_at_its_size(tmp_path: Path) -> None:
    trees.cifar(tmp_path / "data", "bin", rows=20)
    options = ["data.options.n_train=60", "data.options.n_valid=20", "data.options.n_test=20", "train.epochs=1"]
    code, report = suites(*CORRUPTED, "--method", "erm", "--data-root", str(tmp_path / "data"), *options, out=tmp_path)
    assert code == 0, report
    code, document = suites(
        "data", "check", "cdvg_ccifar10", "--json", "--data-root", str(tmp_path / "data"), *options[:3], out=tmp_path
    )
    assert code == 0
    assert document["source"] == "real"
    assert document["size"] == 32
    assert document["train"] == {"rows": 60, "aligned": 1.0}
    assert document["test"]["aligned"] < 0.5


def test_an_archive_runs_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    name = "CorruptedCIFAR10-Type0-Skewed0.02-Severity4"
    trees.lff(tmp_path / "data", name, 32)
    run = [*CORRUPTED, "--method", "erm", "--data-root", str(tmp_path / "data")]
    options = ["data.options.n_train=30", "data.options.n_valid=10", "data.options.n_test=40", "train.epochs=1"]
    code, report = suites(*run, *options, out=tmp_path)
    assert code == 0, report
    np.save(tmp_path / "data" / name / "train" / "attrs.npy", np.full((40, 2), 10))
    for arguments, what in (
        (run, "row 0 holds [10, 10]"),
        ([*run, "data.options.share=5pct"], "no CorruptedCIFAR10-Type0-Skewed0.05"),
    ):
        code, report = suites(*arguments, *options, out=tmp_path)
        assert code == 3
        assert what in report["error"]["what"]
