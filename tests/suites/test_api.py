"""Holdfast from Python: the same numbers as the command line, frames, trained runs, faults, and silence."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.sweeps.studies import Search

from .process import CommandLine

TABULAR: dict[str, Any] = {"profile": "smoke", "overrides": {"train.threads": 1, "train.lr": 0.01}, "device": "cpu"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("api")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def done(out: Path) -> api.Results:
    return api.run("supremix_tabular", methods=["l1", "supremix"], seeds=2, out=out, **TABULAR)


def same(one: dict[str, float], other: dict[str, float]) -> bool:
    """Equal to the bit, but for the measured time."""
    time = "cost/seconds_per_step"
    assert one.keys() == other.keys()
    return all(name == time or value == other[name] for name, value in one.items())


def test_the_frame_has_a_row_a_run_and_the_numbers_of_the_command_line(
    done: api.Results, cli: CommandLine, tmp_path: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    options = ["--profile", "smoke", "--method", "l1", "--method", "supremix", "--seeds", "2", "--device", "cpu"]
    overrides = ["train.threads=1", "train.lr=0.01"]
    document = cli.here("run", "supremix_tabular", *options, "--json", *overrides, out=tmp_path).document
    frame = done.frame
    assert list(frame["suite"]) == ["supremix_tabular"] * 4
    assert set(frame["profile"]) == {"smoke"}
    assert set(frame["status"]) == {"finished"}
    assert list(zip(frame["method"], frame["seed"], strict=True)) == [
        ("l1", 0),
        ("supremix", 0),
        ("l1", 1),
        ("supremix", 1),
    ]
    for row, run in zip(frame.to_dict("records"), document["runs"], strict=True):
        assert same(run["metrics"], {name: row[name] for name in run["metrics"]})
    assert [Path(f) for f in frame["folder"]] == done.folders
    assert all(done.mlflow_run_ids)
    assert done.path == done.folders[0].parent


def test_what_lies_on_the_disk_is_the_same(done: api.Results, out: Path) -> None:
    for target in (done.path, done.path.name, "last"):
        assert api.results(target, out).frame.equals(done.frame)
    one = api.results(done.folders[2])
    assert one.frame["seed"].tolist() == [1]
    every = api.results(out)
    assert len(every) >= len(done)
    resumed = api.resume(done.path)
    assert resumed.frame.equals(done.frame), "nothing was left to do"


def test_a_trained_run_gives_its_recipe_method_data_and_predictions(done: api.Results) -> None:
    trained = api.load_run(done.folders[1])
    assert trained.recipe.train.lr == 0.01
    assert isinstance(trained.method, torch.nn.Module)
    assert not trained.method.training
    assert trained.model is trained.method.model
    table = trained.data.splits["test"]
    rows = list(range(len(table)))
    by_row: Any = trained.predict(rows)
    assert len(by_row) == len(table)
    batch: Any = trained.predict(table.gather(torch.tensor(rows[:5])))
    assert np.allclose(batch["value"].numpy(), [p["value"] for p in by_row[:5]], atol=1e-6)
    label: Any = table.columns["label"]
    error = np.abs(np.ravel([p["value"] for p in by_row]) - label.numpy().ravel()).mean()
    assert error == pytest.approx(trained.metrics["mae/last"], rel=1e-5)


def test_compare_gives_the_document_of_the_command_line(done: api.Results, out: Path, cli: CommandLine) -> None:
    document = api.compare(done.path, than="l1", out=out)
    assert (
        json.loads(json.dumps(document))
        == cli.here("compare", str(done.path), "--than", "l1", "--json", out=out).document
    )
    assert {row["method"] for row in document["tasks"][0]["methods"]} == {"l1", "supremix"}


def test_a_study_from_python(out: Path) -> None:
    search = Search(methods=["l1"], trials=2, sampler="random", name="from-python")
    study = api.start_study("supremix_tabular", search, profile="smoke", out=out, device="cpu")
    again = api.study_of("from-python", out)
    assert again is not None
    assert again.folder == study.folder
    assert "train.lr" in api.search_space("supremix_tabular", ["l1"], profile="smoke", out=out)


def test_nothing_is_printed_unless_asked(out: Path, capfd: pytest.CaptureFixture[str], caplog: Any) -> None:
    options = {**TABULAR, "methods": ["l1", "supremix"], "out": out}
    changed = {**TABULAR["overrides"], "methods.supremix.second_epochs": 3}
    api.run("supremix_tabular", **{**options, "overrides": changed})
    shown = capfd.readouterr()
    assert shown.out == shown.err == ""
    assert "second_epochs" in caplog.text, "the warning is logged"
    api.run("supremix_tabular", **{**options, "overrides": changed}, verbose=True)
    assert "second_epochs" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": {"train.lrr": 1}}, "did you mean 'lr'"),
        ({"overrides": "train.lr=1"}, "a mapping or a list of texts"),
        ({"methods": ["l11"]}, "did you mean 'l1'"),
        ({"seeds": 0}, "no seeds"),
        ({"seeds": [1, 1]}, "no seeds"),
        ({"device": "tpu"}, "unknown device"),
        ({"data_root": "absent"}, "no such folder"),
        ({"engine": "slurm"}, "unknown engine"),
    ],
)
def test_what_is_wrong_is_a_fault_and_leaves_nothing(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=message):
        api.run("supremix_tabular", **{"profile": "smoke", "out": tmp_path / "runs", **options})
    assert not list((tmp_path / "runs").glob("*/*/run.json"))


def test_several_runs_are_no_one_run(done: api.Results, out: Path) -> None:
    with pytest.raises(Fault, match="holds 4 runs"):
        api.load_run(done.path)
    with pytest.raises(Fault, match="no invocation and no run"):
        api.results("absent", out)


def test_recipes(tmp_path: Path) -> None:
    assert "coconut_slurp" in [row["name"] for row in api.list_suites()]
    recipe = api.load_recipe("supremix_tabular", "smoke", {"train.lr": 1e-05})
    assert recipe.train.lr == 1e-05
    (tmp_path / "data.csv").write_text("a,y\n1,2\n")
    rooted = api.load_recipe("supremix_tabular", "smoke", data_root=tmp_path / "data.csv")
    assert rooted.data.root == str(tmp_path / "data.csv")
    written = api.load_recipe("supremix_tabular", "smoke", [f"data.root={tmp_path / 'data.csv'}"])
    assert rooted == written, "as if it were an override"
    file = api.copy_recipe("supremix_tabular", tmp_path / "mine.yaml")
    with pytest.raises(Fault, match="there already"):
        api.copy_recipe("supremix_tabular", file)
    assert [row["profile"] for row in api.validate(str(file))] == [None, "smoke", "demo", "paper"]


def test_dry_run_says_what_run_would_do(tmp_path: Path) -> None:
    recipe, plan = api.dry_run("supremix_tabular", methods=["l1"], profile="smoke", out=tmp_path, device="cpu")
    assert recipe.name == plan["suite"]
    assert [row["method"] for row in plan["methods"]] == ["l1"]
    assert math.isfinite(plan["methods"][0]["seconds_estimated"])
    assert not list(tmp_path.iterdir())
