"""``suites run ... --into INVOCATION``: only what is missing is run, and what the runs say together is brought up to
date.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import folders
from holdfast.suites.tracking.journal import comparable

from .process import CommandLine

SUITE = "supremix_tabular"
OPTIONS: dict[str, Any] = {"profile": "smoke", "overrides": {"train.threads": 1, "train.lr": 0.01}, "device": "cpu"}
FIELDS = ["train.threads=1", "train.lr=0.01"]


def lines(run: Path) -> list[Any]:
    return list(comparable(run / "journal.jsonl"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("into")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def first(out: Path) -> Path:
    return api.run(SUITE, methods=["l1"], out=out, **OPTIONS).path


@pytest.fixture(scope="module")
def grown(first: Path, out: Path, cli: CommandLine) -> dict[str, Any]:
    """What the command prints; the files of the run that was there are as they were."""
    before = {path: path.stat().st_mtime_ns for path in (first / "l1-s0").rglob("*") if path.is_file()}
    command = ["run", SUITE, "--method", "l1", "--method", "supremix", "--seeds", "2", "--into", first.name, "--json"]
    document: dict[str, Any] = cli.here(*command, *FIELDS, out=out).document
    untouched = {path: path.stat().st_mtime_ns for path in before}
    changed = {path.name for path in before if untouched[path] != before[path]}
    assert changed <= {"lock"}
    return document


def test_what_is_missing_is_run_and_has_the_numbers_of_one_invocation(
    grown: dict[str, Any], first: Path, out: Path
) -> None:
    assert [(run["method"], run["seed"]) for run in grown["runs"]] == [
        ("l1", 0),
        ("supremix", 0),
        ("l1", 1),
        ("supremix", 1),
    ]
    assert {run["status"] for run in grown["runs"]} == {"finished"}
    assert grown["out"] == str(first)
    apart = api.run(SUITE, methods=["supremix"], seeds=[1], out=out, **OPTIONS).folders[0]
    assert lines(first / "supremix-s1") == lines(apart)


def test_mlflow_pictures_and_table_hold_all_runs(grown: dict[str, Any], first: Path, out: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    own = [client.get_run(run["mlflow_run_id"]) for run in grown["runs"]]
    parents = {run.data.tags["mlflow.parentRunId"] for run in own}
    assert len(parents) == 1
    parent = client.get_run(parents.pop())
    assert parent.data.tags["seeds"] == "0, 1", "the parameter of the first time cannot be changed"
    assert parent.data.tags["methods"] == "l1, supremix"
    assert parent.info.status == "FINISHED"
    table = client.download_artifacts(parent.info.run_id, "table.json", str(out))
    assert [row[:2] for row in json.loads(Path(table).read_text())["data"]] == [["l1", "2"], ["supremix", "2"]]
    values = [run["metrics"]["mae/last"] for run in grown["runs"] if run["method"] == "l1"]
    assert parent.data.metrics["mae/last/l1"] == pytest.approx(sum(values) / 2)
    assert (first / "plots" / "comparison.png").stat().st_size > 0
    assert "--seeds 2" in parent.data.tags["mlflow.note.content"]


def test_nothing_is_missing(grown: dict[str, Any], first: Path, out: Path) -> None:
    plan = (first / "invocation.json").read_bytes()
    again = api.run(SUITE, methods=["l1"], seeds=2, out=out, into=first, **OPTIONS)
    assert [run["metrics"] for run in again.runs] == [run["metrics"] for run in grown["runs"]]
    assert (first / "invocation.json").read_bytes() == plan


@pytest.mark.parametrize(
    ("suite", "changed", "message"),
    [
        (SUITE, {"overrides": {"train.threads": 1}}, r"train.lr: there 0.01, now"),
        (SUITE, {"profile": "demo"}, "profile: there smoke, now demo"),
        (SUITE, {"tracking_uri": "sqlite:///other.db"}, "another MLflow store"),
        ("supremix_timeseries", {}, "is of the suite supremix_tabular"),
        (SUITE, {"into": "absent"}, "no invocation and no run"),
    ],
)
def test_other_runs_do_not_belong_there(
    suite: str, changed: dict[str, Any], message: str, first: Path, out: Path
) -> None:
    plan = (first / "invocation.json").read_bytes()
    with pytest.raises(Fault, match=message):
        api.run(suite, **{"seeds": 3, "out": out, "into": first, **OPTIONS, **changed})
    assert (first / "invocation.json").read_bytes() == plan


def test_other_data_does_not_belong_there(first: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = folders.plan_of(first)
    folders.write_json(first / "invocation.json", {**plan, "data": {**plan["data"], "checksum": "other"}})
    with pytest.raises(Fault, match="its checksum differs"):
        api.run(SUITE, seeds=3, out=out, into=first, **OPTIONS)
    folders.write_json(first / "invocation.json", plan)
    assert not (first / "l1-s2").exists()


def test_a_method_is_added_to_a_recipe_of_ones_own(out: Path, tmp_path: Path) -> None:
    shutil.copy(out / "mlflow.db", tmp_path / "mlflow.db")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"schema: 2\nextends: {SUITE}\nname: mine\ndefaults: [l1]\n")
    options: dict[str, Any] = {"profile": "smoke", "out": tmp_path, "device": "cpu"}
    done = api.run(str(recipe), **options)
    recipe.write_text(recipe.read_text() + "methods: {squared: {use: l1, loss: mse}}\n")
    both = api.run(str(recipe), methods=["squared"], into=done.path, **options)
    assert list(both.frame["method"]) == ["l1", "squared"]
    assert "squared" in api.load_run(both.folders[1]).recipe.methods
    recipe.write_text(recipe.read_text().replace("use: l1, loss: mse", "use: mse"))
    with pytest.raises(Fault, match=r"methods.squared.use: there l1, now mse"):
        api.run(str(recipe), methods=["squared"], seeds=[4], into=done.path, **options)
