"""A run whose pictures fail is finished, with its numbers in its folder and in the store."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from holdfast.analysis.plots import classification, comparison, groups, regression, speech
from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import folders, invocation
from holdfast.suites.runtime.console import Console
from holdfast.suites.tracking.delivery import compare_store

from .sweeps import SMALL

REAL_PICTURES = True


def fails(*arguments: Any, **named: Any) -> None:
    raise MemoryError("Unable to allocate 12.1 GiB")


def start(out: Path, suite: str, method: str, profile: str = "smoke", *small: str) -> dict[str, Any]:
    recipe = catalog.recipe(suite, profile, ["train.threads=1", *small])
    started = invocation.start(
        recipe, methods=[method], seeds=[0], device="cpu", out=out, tracking_uri=None, console=Console(json=True)
    )
    return started.document()


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.mark.parametrize(
    ("suite", "method", "plots", "broken", "picture", "whole"),
    [
        ("split_digits", "er", comparison, "matrix_heatmap", "matrix.png", "confusion.png"),
        ("coconut_slurp", "er", speech, "confusion", "scenarios.png", "matrix.png"),
        ("supremix_tabular", "l1", regression, "error_over_label", "error.png", "ordinality.png"),
        ("split_digits", "er", classification, "reliability", "reliability.png", "confusion.png"),
        ("cdvg_cmnist", "cdvg", groups, "translation_grid", "translations-0.png", "groups.png"),
    ],
)
def test_a_run_whose_picture_fails_is_finished(
    suite: str,
    method: str,
    plots: Any,
    broken: str,
    picture: str,
    whole: str,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setattr(plots, broken, fails)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run = start(out, suite, method, "smoke", *(SMALL if suite == "split_digits" else ()))["runs"][0]
    folder = Path(run["folder"])
    assert run["status"] == "finished"
    assert json.loads((folder / "summary.json").read_text()) == run["metrics"] != {}
    assert not (folder / "plots" / picture).exists()
    assert (folder / "plots" / whole).stat().st_size > 0, "the other pictures are drawn"
    messages = [*(str(w.message) for w in warned), *capsys.readouterr().err.splitlines()]
    missing = f"no picture plots/{picture}: MemoryError: Unable to allocate 12.1 GiB"
    assert [line for line in messages if missing in line]
    if broken != "translation_grid":
        assert f"no picture plots/{picture}" in (folder / "log.txt").read_text()
    assert compare_store(folder) == []


def test_the_picture_of_all_methods_fails_alone(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(comparison, "metric_over_experiences", fails)
    assert start(out, "split_digits", "er", "smoke", *SMALL)["runs"][0]["status"] == "finished"
    assert "no picture plots/accuracy.png" in capsys.readouterr().err


def test_every_run_and_invocation_has_its_pictures(out: Path) -> None:
    """Both formats in the folders, PNG alone in MLflow; no matrix of one experience, and each method in its colour."""
    small = ("data.options.n_train=96", "data.options.n_test=40", "train.epochs=1", "model.options.hidden=16")
    recipe = catalog.recipe("supremix_tabular", "demo", ["train.threads=1", *small])
    started = invocation.start(
        recipe, methods=["l1", "mse"], seeds=[0], device="cpu", out=out, tracking_uri=None, console=Console(json=True)
    )
    (alone,) = start(out, "supremix_tabular", "l1", "demo", *small)["runs"]
    run, whole = Path(alone["folder"]), {"training", "predictions", "error", "embedding", "ordinality"}
    assert {file.name for file in (run / "plots").iterdir()} == {f"{n}.{s}" for n in whole for s in ("png", "pdf")}
    for name in ("training.png", "training.pdf"):
        assert (run.parent / "plots" / name).read_bytes() == (run / "plots" / name).read_bytes()
    plots = started.folder / "plots"
    assert {file.name for file in plots.iterdir()} == {"comparison.png", "comparison.pdf"}
    sent = {file.suffix for file in (out / "mlartifacts").rglob("plots/*")}
    assert sent == {".png"}
    assert b"Subtype /Image" not in (run / "plots" / "training.pdf").read_bytes(), "lines stay lines"


@pytest.mark.parametrize("how", ["killed", "ctrl-c"])
def test_a_run_that_ends_while_it_draws_is_finished(how: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill (for memory, say) inside a picture costs the picture; Ctrl-C does not begin the next run."""
    seen: list[str] = []

    def draw(cells: Any, title: str, path: Path, **options: Any) -> None:
        seen.append(folders.status(path.parents[1]))
        if how == "killed":
            raise SystemExit
        os.kill(os.getpid(), 2)

    monkeypatch.setattr(comparison, "matrix_heatmap", draw)
    error: type[BaseException] = SystemExit if how == "killed" else Fault
    with pytest.raises(error):
        start(out, "split_digits", "er", "smoke", *SMALL)
    assert seen == ["finished"], "it counts as finished before its first picture"
    assert folders.status(next(out.glob("*/er-s0"))) == "finished"
