"""Class-incremental images through the real command line: every entry of the recipes, real files, damaged ones, kills,
the claims.
"""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.readers.mnist import FILES
from holdfast.suites.config import catalog, measures
from holdfast.suites.runtime.loading import TrainedRun
from holdfast.suites.tracking.journal import comparable

from ..datasets import trees
from .process import CommandLine

SUITES = ("split_digits", "split_mnist", "split_cifar10")
ER = ["run", "split_digits", "--profile", "smoke", "--method", "er", "--json"]


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def _entries(name: str) -> list[str]:
    return [part for method in catalog.recipe(name, "smoke").methods for part in ("--method", method)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_every_entry_of_a_recipe_trains_and_is_drawn(name: str, out: Path, cli: CommandLine) -> None:
    recipe = catalog.recipe(name, "smoke")
    known = measures.of_recipe(recipe)
    document = cli.here("run", name, "--profile", "smoke", "--json", *_entries(name), out=out).document
    assert [run["method"] for run in document["runs"]] == list(recipe.methods)
    for run in document["runs"]:
        assert run["status"] == "finished"
        metrics, folder = run["metrics"], Path(run["folder"])
        assert set(metrics) <= set(known)
        for measure in ("accuracy", "balanced_accuracy", "worst_class", "ece", "nll"):
            assert {f"{measure}/last", f"valid/{measure}/last"} <= set(metrics), measure
        for picture in ("matrix.png", "confusion.png", "reliability.png"):
            assert (folder / "plots" / picture).stat().st_size > 0
        experiences = {
            row["test_experience"] for row in csv.DictReader((folder / "matrix.csv").read_text().splitlines())
        }
        assert experiences == set("01234"), "two classes each, whatever it was trained on"
        if run["method"].startswith("er"):
            assert metrics["cost/memory_rows"] == 20, "10 % of 200 rows"


@pytest.mark.parametrize("point", ["iteration:30", pytest.param("evaluation:9", marks=pytest.mark.slow)])
def test_a_kill_changes_nothing(point: str, out: Path, cli: CommandLine, whole: Path) -> None:
    cli(*ER, out=out, kill_at=point, code=-signal.SIGKILL)
    folder = Path(cli.here("resume", "last", "--json", out=out).document["runs"][0]["folder"])
    assert comparable(folder / "journal.jsonl") == comparable(whole / "journal.jsonl")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cli: CommandLine) -> Path:
    """An undisturbed run."""
    return Path(cli.here(*ER, out=tmp_path_factory.mktemp("whole")).document["runs"][0]["folder"])


def test_the_metrics_are_those_of_the_predictions(whole: Path) -> None:
    """After the last experience, worked out again from what the trained run predicts of each test row."""
    run = TrainedRun(whole)
    labels: Any = run.data.splits["test"].columns["label"]
    rows: Any = run.predict(list(range(len(labels))))
    summary = json.loads((whole / "summary.json").read_text())
    right = [int(row["label"]) == int(y) for row, y in zip(rows, labels, strict=True)]
    assert summary["accuracy/last"] == pytest.approx(sum(right) / len(right))
    recalls = [np.mean([r for r, y in zip(right, labels, strict=True) if y == c]) for c in range(10)]
    assert summary["balanced_accuracy/last"] == pytest.approx(np.mean(recalls))
    assert summary["worst_class/last"] == pytest.approx(min(recalls))
    nll = [-np.log(float(row["probabilities"][int(y)])) for row, y in zip(rows, labels, strict=True)]
    assert summary["nll/last"] == pytest.approx(np.mean(nll), rel=1e-5)
    assert all(int(row["probabilities"].argmax()) == int(row["label"]) for row in rows)


def test_experiences_to_come_are_measured_where_that_is_asked_for(whole: Path, out: Path, cli: CommandLine) -> None:
    """They fill the matrix above its diagonal and move no other number; classes that are not learnt yet score 0."""
    folder = Path(cli.here(*ER, "evaluate.future=true", out=out).document["runs"][0]["folder"])
    plain, ahead = (json.loads((path / "summary.json").read_text()) for path in (whole, folder))
    assert ahead.pop("accuracy/generalisability") == 0.0
    assert {k: v for k, v in ahead.items() if "seconds" not in k} == {
        k: v for k, v in plain.items() if "seconds" not in k
    }
    lines = list(csv.DictReader((folder / "matrix.csv").read_text().splitlines()))
    assert len(lines) == 25
    assert [x for x in lines if x["test_experience"] <= x["after_experience"]] == list(
        csv.DictReader((whole / "matrix.csv").read_text().splitlines())
    )
    document = cli.here("compare", str(whole), "--json", out=out).document
    beside = {one["metric"]: one["methods"]["er"]["mean"] for one in document["tasks"][0]["continual"]}
    assert beside == {name: plain[name] for name in beside}
    assert {"accuracy/plasticity", "accuracy/stability", "accuracy/forgetting"} == set(beside)


def test_real_files_run_at_their_size(out: Path, cli: CommandLine) -> None:
    data = out / "data"
    data.mkdir()
    g = np.random.default_rng(0)
    for images, labels in FILES.values():
        for name, array in ((images, g.integers(0, 256, (60, 28, 28))), (labels, np.arange(60) % 10)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
            (data / name).write_bytes(head + array.astype(np.uint8).tobytes())
    trees.cifar(data, "bin", rows=20)
    counts = ["data.options.n_train=40", "data.options.n_valid=20", "data.options.n_test=20"]
    for suite, size in (("split_mnist", 28), ("split_cifar10", 32)):
        given = [suite, "--data-root", str(data), *counts, *([f"data.options.size={size}"] if size == 28 else [])]
        small = ["train.epochs=1", "methods.er.memory_share=0.5", "--method", "er"]
        document = cli.here("run", *given, "--profile", "smoke", "--json", *small, out=out).document
        assert (document["data"]["source"], document["runs"][0]["status"]) == ("real", "finished")
        checked = cli.here("data", "check", *given, "--json", out=out).document
        assert (checked["source"], checked["size"], checked["train"]["rows"]) == ("real", size, 40)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("split_digits", "reads no folder; leave --data-root out"),
        ("split_mnist", "no train-images-idx3-ubyte there"),
        ("split_cifar10", "no batches of CIFAR-10 there"),
    ],
)
def test_a_root_without_the_data_is_one_message(name: str, what: str, out: Path, cli: CommandLine) -> None:
    (out / "empty").mkdir()
    run = ["run", name, "--profile", "smoke", "--json", "--data-root", str(out / "empty")]
    assert what in cli.here(*run, out=out, code=3).document["error"]["what"]


def test_a_problem_without_classes_is_one_message(out: Path, cli: CommandLine) -> None:
    (out / "mine.yaml").write_text(
        "schema: 2\nextends: supremix_tabular\nname: mine\nproblem: classification\nclaims: []\n"
    )
    run = ["run", "mine.yaml", "--profile", "smoke", "--method", "l1", "--json"]
    assert "needs classes" in cli.here(*run, out=out, code=3).document["error"]["what"]


def test_corrupted_test_images_beside_the_test_set(out: Path, cli: CommandLine) -> None:
    (out / "mine.yaml").write_text(
        "schema: 2\nextends: split_cifar10\nname: mine\n"
        "evaluate: {sets: {noise: {transforms: [{name: corrupt, options: {kind: gaussian_noise}}]}}}\n"
    )
    run = ["run", "mine.yaml", "--profile", "smoke", "--method", "joint", "--json"]
    metrics = cli.here(*run, out=out).document["runs"][0]["metrics"]
    assert {"noise/accuracy/last", "noise/ece/last", "noise/worst_class/last"} <= set(metrics)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_the_claims_hold_in_the_demo(name: str, out: Path, cli: CommandLine) -> None:
    runs = cli("run", name, "--json", out=out, timeout=900).document["runs"]
    metrics = {run["method"]: run["metrics"] for run in runs}
    claims = catalog.recipe(name, "demo").claims
    assert [(claim.better, claim.than) for claim in claims] == [("er", "finetune"), ("joint", "er")]
    for claim in claims:
        assert metrics[claim.better][claim.metric] >= metrics[claim.than][claim.metric] + claim.by, claim
