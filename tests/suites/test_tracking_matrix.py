"""The matrix as models and datasets of MLflow, and the best value: once each, whatever the store does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config import catalog
from holdfast.suites.runtime.identity import test_experiences as experiences_of
from holdfast.suites.tracking import matrix
from holdfast.suites.tracking import state as tracker
from holdfast.suites.tracking.delivery import compare_store, sync
from holdfast.suites.tracking.shown import MOST, Shown
from holdfast.suites.tracking.store import SQLITE, client_class
from mlflow.exceptions import MlflowException

from .process import CommandLine

SMALL = ("--profile", "smoke", "train.threads=1", "data.experiences=3", "train.epochs=1", "--json")
REQUESTS = ("create_logged_model", "log_inputs", "log_batch", "finalize_logged_model", "log_outputs")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, cli: CommandLine) -> Path:
    """OUT with a finished run of three experiences in its own store."""
    out = tmp_path_factory.mktemp("finished")
    shutil.copy(empty_store, out / "mlflow.db")
    done = cli.here("run", "split_digits", *SMALL, "--method", "er", out=out)
    assert "too old" not in done.stderr
    return out


def everything(uri: str, run: Path) -> dict[str, Any]:
    """What the store at ``uri`` holds of the matrix of a run."""
    client = client_class()(tracking_uri=uri)
    held = client.get_run(tracker.state_of(run, uri)["run_id"])
    models = client.search_logged_models([held.info.experiment_id], f"source_run_id = '{held.info.run_id}'")
    cells = sorted((m.name, c.key, c.step, c.value, str(c.dataset_name)) for m in models for c in m.metrics)
    history = client.get_metric_history(held.info.run_id, "matrix/accuracy")
    return {
        "names": sorted(m.name for m in models),
        "ready": {str(m.status) for m in models},
        "cells": cells,
        "outputs": sorted(o.step for o in held.outputs.model_outputs),
        "datasets": sorted(d.dataset.name for d in held.inputs.dataset_inputs),
        "points": len(history),
        "metrics": held.data.metrics,
        "status": held.info.status,
    }


def test_a_model_after_each_experience_measured_on_each_test_experience(finished: Path) -> None:
    run = next(finished.glob("*/er-s0"))
    held = everything(f"{SQLITE}{finished / 'mlflow.db'}", run)
    assert held["names"] == [f"er-s0-after-exp_{t}" for t in range(3)]
    assert held["ready"] == {"READY"}
    assert held["outputs"] == [0, 1, 2]
    assert held["datasets"] == ["digits", *(f"digits/test/exp_{j}" for j in range(3))]
    rows = [line.split(",") for line in (run / "matrix.csv").read_text().splitlines()[1:]]
    expected = sorted(
        (f"er-s0-after-exp_{t}", "matrix/accuracy", int(j), float(v), f"digits/test/exp_{j}") for t, j, v, _ in rows
    )
    assert [cell for cell in held["cells"] if cell[1] == "matrix/accuracy"] == expected
    assert [cell[2] for cell in held["cells"] if cell[1] == "accuracy/after_experience"] == [0, 1, 2]
    assert held["points"] == len(rows) == 6
    assert len(held["metrics"]) <= MOST
    assert compare_store(run) == []


@pytest.mark.parametrize("request_", REQUESTS)
def test_an_answer_that_is_lost_doubles_nothing(
    request_: str, finished: Path, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store does what it is asked, and each answer of this kind is lost once."""
    shutil.copy(empty_store, tmp_path / "other.db")
    uri = f"{SQLITE}{tmp_path / 'other.db'}"
    run = Path(shutil.copytree(next(finished.glob("*/er-s0")), tmp_path / "invocation" / "er-s0"))
    real = getattr(client_class(), request_)
    lost: set[str] = set()

    def unlucky(client: Any, *arguments: Any, **options: Any) -> Any:
        answer = real(client, *arguments, **options)
        if str((arguments, sorted(options))) not in lost and len(lost) < 3:
            lost.add(str((arguments, sorted(options))))
            raise ConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(client_class(), request_, unlucky)
    report = sync(run, uri)
    assert lost
    assert (report["undelivered"], report["runs"][0]["problem"]) == (0, None)
    own = f"{SQLITE}{finished / 'mlflow.db'}"
    assert everything(uri, run) == everything(own, next(finished.glob("*/er-s0")))
    assert compare_store(run, tmp_path / "other.db", uri) == []
    before = everything(uri, run)
    sync(run, uri)
    assert everything(uri, run) == before


@pytest.mark.parametrize("code", ["ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"])
def test_a_server_without_models_gets_all_else_and_there_is_one_warning(
    code: str, finished: Path, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.protos import databricks_pb2

    shutil.copy(empty_store, tmp_path / "old.db")
    uri = f"{SQLITE}{tmp_path / 'old.db'}"
    run = Path(shutil.copytree(next(finished.glob("*/er-s0")), tmp_path / "invocation" / "er-s0"))

    def unknown(*arguments: Any, **options: Any) -> Any:
        raise MlflowException("no such request", error_code=databricks_pb2.ErrorCode.Value(code))

    with monkeypatch.context() as patch:
        patch.setattr(client_class(), "search_logged_models", unknown)
        (row,) = sync(run, uri)["runs"]
    assert (row["undelivered"], row["problem"]) == (0, None)
    assert row["warning"].count("too old") == 1
    assert compare_store(run, tmp_path / "old.db", uri) == []
    held = everything(uri, run)
    assert (held["names"], held["status"]) == ([], "FINISHED")
    assert "best/accuracy" in held["metrics"]
    (row,) = sync(run, uri)["runs"]  # the server has been brought up to date
    assert (row["problem"], row["warning"]) == (None, None)
    assert len(everything(uri, run)["names"]) == 3


def test_a_broken_connection_is_no_old_server(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path(shutil.copytree(next(finished.glob("*/er-s0")), tmp_path / "invocation" / "er-s0"))
    monkeypatch.setattr("holdfast.suites.tracking.delivery.ATTEMPTS", 1)

    def broken(*arguments: Any, **options: Any) -> Any:
        raise MlflowException("API request failed with error code 503 != 200")

    monkeypatch.setattr(client_class(), "search_logged_models", broken)
    (row,) = sync(run, f"{SQLITE}{tmp_path / 'new.db'}")["runs"]
    assert "503" in row["problem"]
    assert row["warning"] is None


def test_one_experience_and_very_many_have_no_models() -> None:
    assert experiences_of(catalog.recipe("cdvg_cmnist", "smoke"), "x") is None
    recipe = catalog.recipe("split_digits", "smoke")
    some = experiences_of(recipe, "x")
    assert some is not None
    assert len(some) == len({d["digest"] for d in some}) == recipe.data.experiences
    assert some == experiences_of(recipe, "x")
    assert some != experiences_of(recipe, "other data")
    many = recipe.model_copy(update={"data": recipe.data.model_copy(update={"experiences": 51})})
    assert experiences_of(many, "x") is None


def point(name: str, value: float | str, step: int, axis: str = "experience") -> dict[str, Any]:
    return {"name": name, "value": value, "step": step, "axis": axis, "t": 100 + step}


@pytest.mark.parametrize(("higher", "best"), [(True, (0.9, 102)), (False, (0.2, 101))])
def test_the_best_value_goes_by_the_declared_direction(higher: bool, best: tuple[float, int]) -> None:
    values: list[float | str] = [0.5, 0.2, 0.9, "nan"]
    points = [point("mae/pooled", v, t) for t, v in enumerate(values)]
    assert Shown("mae", higher=higher).best(points) == [("best/mae", *best, 0)]
    assert Shown("mae").best(points) == [], "a run of an earlier version"
    one = Shown("mae", curves=False, higher=higher)
    assert one.best(points) == [], "one experience has no curve"
    epochs = [point("valid/mae/epoch", v, t, "iteration") for t, v in enumerate((0.5, 0.2, 0.9))]
    assert one.best(epochs) == [("best/valid/mae", *best, 0)]


def test_cells_that_are_no_numbers_stay_out() -> None:
    points = [point("mae/exp_0", "inf", 0), point("mae/exp_1", 0.5, 1), point("rmse/exp_1", 1.0, 1)]
    assert [(c.after, c.on) for c in matrix.cells(Shown("mae"), points)] == [(1, 1)]
