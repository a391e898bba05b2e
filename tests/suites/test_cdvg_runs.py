"""A method of two stages with three optimizers and running losses of every image resumes to the same numbers.

It is killed in either stage.
Corrupted CIFAR-10 through the command line: the stand-in, a released layout, an archive, and damaged ones.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from holdfast.suites.tracking.journal import comparable

from ..datasets import trees
from .process import CommandLine

SMALL = ["run", "cdvg_cmnist", "--profile", "smoke", "--method", "cdvg_lff", "--json"]


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    """A folder for runs that has MLflow's tables already: making them takes seconds."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, cli: CommandLine) -> Path:
    out = tmp_path_factory.mktemp("reference")
    shutil.copy(empty_store, out / "mlflow.db")
    report = cli(*SMALL, out=out).document
    return Path(report["runs"][0]["folder"])


@pytest.mark.parametrize("point", ["update:6", "iteration:12"])
def test_a_run_killed_in_either_stage_resumes(point: str, reference: Path, tmp_path: Path, cli: CommandLine) -> None:
    cli(*SMALL, out=tmp_path, kill_at=point, code=-signal.SIGKILL)
    report = cli("resume", "last", "--json", out=tmp_path).document
    folder = Path(report["runs"][0]["folder"])
    assert comparable(folder / "journal.jsonl") == comparable(reference / "journal.jsonl")
    assert (folder / "plots" / "translations-0.png").exists()
    assert (folder / "plots" / "groups.png").exists()
    mine, theirs = (json.loads((f / "summary.json").read_text()) for f in (folder, reference))
    assert (
        mine["translator/content_kept"] == theirs["translator/content_kept"]
    )  # of the translator's stage, which is over at "iteration"


def test_a_failed_gate_stops_the_run_with_a_message(tmp_path: Path, cli: CommandLine) -> None:
    """The smoke translator has had a few steps only: the gate must say so and leave no traceback."""
    report = cli(*SMALL, "methods.cdvg_lff.gate=stop", out=tmp_path, code=4).document
    assert "does not keep the content" in report["error"]["what"]


CORRUPTED = ["run", "cdvg_ccifar10", "--profile", "smoke", "--json"]


def test_corrupted_digits_run_and_are_reported(tmp_path: Path, cli: CommandLine) -> None:
    report = cli(*CORRUPTED, "--method", "cdvg", out=tmp_path).document
    assert report["runs"][0]["status"] == "finished"
    assert (Path(report["runs"][0]["folder"]) / "plots" / "translations-0.png").exists()


def test_a_released_layout_runs_at_its_size(tmp_path: Path, cli: CommandLine) -> None:
    trees.cifar(tmp_path / "data", "bin", rows=20)
    options = ["data.options.n_train=60", "data.options.n_valid=20", "data.options.n_test=20", "train.epochs=1"]
    root = ["--data-root", str(tmp_path / "data")]
    cli.here(*CORRUPTED, "--method", "erm", *root, *options, out=tmp_path)
    document = cli.here("data", "check", "cdvg_ccifar10", "--json", *root, *options[:3], out=tmp_path).document
    assert document["source"] == "real"
    assert document["size"] == 32
    assert document["train"] == {"rows": 60, "aligned": 1.0}
    assert document["test"]["aligned"] < 0.5


def test_an_archive_runs_and_a_damaged_one_is_named(tmp_path: Path, cli: CommandLine) -> None:
    name = "CorruptedCIFAR10-Type0-Skewed0.02-Severity4"
    trees.lff(tmp_path / "data", name, 32)
    run = [*CORRUPTED, "--method", "erm", "--data-root", str(tmp_path / "data")]
    options = ["data.options.n_train=30", "data.options.n_valid=10", "data.options.n_test=40", "train.epochs=1"]
    cli.here(*run, *options, out=tmp_path)
    np.save(tmp_path / "data" / name / "train" / "attrs.npy", np.full((40, 2), 10))
    for arguments, what in (
        (run, "row 0 holds [10, 10]"),
        ([*run, "data.options.share=5pct"], "no CorruptedCIFAR10-Type0-Skewed0.05"),
    ):
        report = cli.here(*arguments, *options, out=tmp_path, code=3).document
        assert what in report["error"]["what"]
