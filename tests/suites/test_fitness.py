"""A method that does not fit its model or its data is exit code 2 before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config import catalog

from .process import CommandLine


def suites(out: Path, *arguments: str) -> tuple[int, Any]:
    """Exit code and the JSON document of ``suites ... --json``."""
    done = CommandLine().here(*arguments, "--json", out=out, code=None, HOLDFAST_RUNS=str(out / "runs"))
    return done.returncode, done.document


@pytest.mark.parametrize("verb", [["run"], ["run", "--dry-run"]])
def test_a_hidden_column_is_missed_before_the_first_method_trains(verb: list[str], tmp_path: Path) -> None:
    name, *more = verb
    code, report = suites(
        tmp_path, name, "cdvg_cmnist", "--profile", "smoke", "--method", "erm", "--method", "biascon_oracle", *more
    )
    assert code == 2
    assert "biascon_oracle needs the column 'bias', which is hidden from training" in report["error"]["what"]
    assert "data.hidden_from_training=[]" in report["error"]["what"]
    assert not list((tmp_path / "runs").glob("cdvg_cmnist-*"))


@pytest.mark.parametrize(
    ("suite", "use", "message"),
    [
        ("coconut_fsc", "supremix/supremix", "m needs a Regressor, the network 'slu' is a SequenceModel"),
        ("coconut_fsc", "cdvg/lff", "m needs a Classifier, the network 'slu' is a SequenceModel"),
        ("supremix_tabular", "continual/er", "m needs a Learner, the network 'regression' is a Regressor"),
        ("cdvg_cmnist", "coconut/coconut", "m needs a SequenceModel, the network 'images' is a Classifier"),
    ],
)
def test_a_wrong_model_is_refused_before_data_is_looked_for(suite: str, use: str, message: str, tmp_path: Path) -> None:
    method = ["--method", "m", f"methods.m={{use: {use}}}"]
    code, report = suites(tmp_path, "run", suite, "--profile", "smoke", "--data-root", str(tmp_path), *method)
    assert code == 2  # an empty folder of data would be 3
    assert message in report["error"]["what"]
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob(f"{suite}-*"))


def test_a_recipe_whose_method_is_on_the_wrong_model_is_not_valid(tmp_path: Path) -> None:
    text = catalog.text("coconut_fsc")
    (tmp_path / "mine.yaml").write_text(
        text.replace("\nmethods:\n", "\nmethods:\n  supremix: {use: supremix/supremix}\n")
    )
    code, report = suites(tmp_path, "validate", str(tmp_path / "mine.yaml"))
    assert code == 2
    assert "supremix needs a Regressor, the network 'slu' is a SequenceModel" in report["error"]["what"]


def test_a_sweep_of_a_method_that_misses_a_column_does_not_begin(tmp_path: Path) -> None:
    code, report = suites(
        tmp_path, "sweep", "cdvg_cmnist", "--profile", "smoke", "--method", "biascon_oracle", "--trials", "2"
    )
    assert code == 2
    assert "biascon_oracle needs the column 'bias'" in report["error"]["what"]
