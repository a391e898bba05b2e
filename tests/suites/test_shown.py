"""What MLflow shows of runs: few metrics, plain parameters, notes, true times, a view that opens, and a summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.suites.config import catalog
from holdfast.suites.runtime.identity import changed_of, colour_of, command, experiment_note, finals_of
from holdfast.suites.tracking.shown import MOST, Shown, link, view_state
from holdfast.suites.tracking.store import SQLITE, links
from mlflow.tracking import MlflowClient

from .process import CommandLine

SMALL = ("--profile", "smoke", "train.threads=1")
DIGITS = ("data.experiences=3", "train.epochs=1")


def point(name: str, step: int = 3, axis: str = "experience") -> dict[str, Any]:
    return {"name": name, "step": step, "axis": axis, "value": 1.0, "t": 0}


def test_few_points_are_shown_and_all_where_asked() -> None:
    shown = Shown("mae", ("mae/average", "cost/x"))
    assert shown.point(point("mae/average")) == ("mae/average", 0)
    assert shown.point(point("mae/pooled")) == ("mae/after_experience", 3)
    assert shown.point(point("valid/mae")) == ("valid/mae", 3)
    assert shown.point(point("valid/mae/epoch", 40, "iteration")) == ("valid/mae/epoch", 40)
    assert shown.point(point("loss/first", 20, "iteration")) == ("train/loss/first", 20)
    for name, axis in (("mae/exp_0", "experience"), ("rmse/pooled", "experience"), ("cost/x", "iteration")):
        assert shown.point(point(name, axis=axis)) is None
    one = Shown("mae", ("mae/last",), curves=False)
    assert one.point(point("mae/pooled")) is None, "one experience: its curve is its final value"
    assert Shown("mae", every=True).point(point("mae/exp_0")) == ("mae/exp_0", 3)
    assert Shown.of(None).point(point("anything", 7)) == ("anything", 7), "a run of an earlier version"
    assert Shown.of({**vars(shown), "finals": list(shown.finals)}) == shown


def test_the_main_metric_has_the_first_of_all_names_but_a_run_keeps_those_it_began_with() -> None:
    finals = ("mae/last", "few/mae/last", "projection/ordinality/last", "fog/mae/last")
    shown = Shown("mae", finals)
    names = [shown.point(point(name)) for name in finals]
    assert names == [(n, 0) for n in ("mae/last", "mae/last/few", "projection/ordinality/last", "mae/last/fog")]
    sent = [shown.point(point(name, axis="iteration")) for name in ("loss", "loss/a")]
    assert sent == [("train/loss", 3), ("train/loss/a", 3)]
    before = Shown.of({"main": "mae", "finals": list(finals), "curves": True, "every": False})
    assert before.point(point("few/mae/last")) == ("few/mae/last", 0)
    assert before.point(point("mae/pooled")) == ("mae", 3)
    assert before.point(point("loss", axis="iteration")) == ("loss", 3)


@pytest.mark.parametrize("name", ["coconut_slurp", "cdvg_cmnist", "supremix_agedb"])
def test_finals_are_few_and_declared(name: str) -> None:
    recipe = catalog.recipe(name, "smoke")
    finals = finals_of(recipe)
    assert 3 <= len(finals) <= MOST
    assert not [f for f in finals if recipe.data.experiences == 1 and f.endswith(("/average", "/forgetting"))]


def test_only_what_differs_is_a_parameter_and_can_be_typed_again() -> None:
    assert changed_of(catalog.recipe("cdvg_cmnist", "smoke")) == {}
    given = ["train.lr=0.5", "data.hidden_from_training=[]", "train.clip=null", "train.compile=true"]
    recipe = catalog.recipe("cdvg_cmnist", "smoke", given)
    changed = changed_of(recipe)
    assert changed == {
        "train.lr": "0.5",
        "data.hidden_from_training": "[]",
        **({"train.clip": "null"} if catalog.recipe("cdvg_cmnist", "smoke").train.clip is not None else {}),
        "train.compile": "true",
    }
    again = catalog.recipe("cdvg_cmnist", "smoke", [f"{path}={text}" for path, text in changed.items()])
    assert again.train == recipe.train
    assert command(recipe, ["erm"], [3], {"train.lr": "0.5"}) == (
        "suites run cdvg_cmnist --profile smoke --method erm --seed 3 train.lr=0.5"
    )


def test_a_method_has_one_colour() -> None:
    recipe = catalog.recipe("coconut_slurp", "smoke")
    assert colour_of(recipe, "er") == colour_of(recipe, "er") != colour_of(recipe, "coconut")


def test_the_view_groups_by_method_with_the_best_first() -> None:
    view = json.loads(view_state("mae/last", ["mae/last"], False))
    assert view["orderByAsc"] is True
    assert [key["groupByData"] for key in view["groupBy"]["groupByKeys"]] == ["group"]
    assert json.loads(view_state("accuracy/average", [], True))["orderByAsc"] is False
    assert link("http://127.0.0.1:5000/", "7") == (
        "http://127.0.0.1:5000/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=holdfast"
    )


def _client(out: Path) -> Any:
    return MlflowClient(f"{SQLITE}{out / 'mlflow.db'}")


def test_the_pages_of_an_invocation(cli: CommandLine, tmp_path: Path) -> None:
    asked = (*SMALL, *DIGITS, "--method", "er", "--method", "finetune", "train.lr=0.0031", "--json")
    document = cli.here("run", "split_digits", *asked, out=tmp_path).document
    client = _client(tmp_path)
    experiment = client.get_experiment_by_name("split_digits")
    assert catalog.recipe("split_digits", "smoke").title in experiment.tags["mlflow.note.content"]
    assert "mlflow.sharedViewState.holdfast" in experiment.tags
    server = "http://127.0.0.1:5000"
    opened = [("split_digits", link(server, experiment.experiment_id))]
    assert links(f"{SQLITE}{tmp_path / 'mlflow.db'}", server) == opened, "what suites ui prints"
    assert links(f"{SQLITE}{tmp_path / 'none.db'}", server) == []
    runs = client.search_runs([experiment.experiment_id], "tags.method != ''")
    assert len(runs) == 2
    for run in runs:
        assert len(run.data.metrics) <= MOST
        assert {"accuracy/after_experience", "accuracy/average", "valid/accuracy", "train/loss"} <= set(
            run.data.metrics
        )
        assert run.data.params["train.lr"] == "0.0031"
        assert "train.batch_size" not in run.data.params, "it is the suite's"
        assert {run.data.tags[key] for key in ("suite", "profile", "data")} == {"split_digits", "smoke", "real"}
        assert run.data.tags["group"] == f"{run.data.tags['method']}, smoke"
        assert "suites run split_digits" in run.data.tags["mlflow.note.content"]
        assert "Predictions of single rows are not kept" in run.data.tags["mlflow.note.content"]
        curve = client.get_metric_history(run.info.run_id, "accuracy/after_experience")
        assert sorted(m.step for m in curve) == [0, 1, 2]
        assert [m.step for m in client.get_metric_history(run.info.run_id, "accuracy/average")] == [0]
        assert run.data.metrics["best/accuracy"] == max(m.value for m in curve)
        assert min(run.data.metrics).startswith("accuracy/")
        state = json.loads((Path(document["out"]) / run.info.run_name / "run.json").read_text())
        assert run.info.start_time == state["started"]
        assert abs(run.info.end_time - state["started"] - state["active"]) < 100
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`holdfast.role` = 'invocation'")
    expected = {r["method"]: r["metrics"]["accuracy/last"] for r in document["runs"]}
    assert {m: parent.data.metrics[f"accuracy/last/{m}"] for m in expected} == expected
    assert "| er | 1 |" in parent.data.tags["mlflow.note.content"]
    changed = {"data.experiences": "3", "train.epochs": "1", "train.lr": "0.0031"}
    assert parent.data.params == {"methods": "er, finetune", "seeds": "0", "profile": "smoke", **changed}
    table = json.loads((tmp_path / "mlartifacts" / parent.info.run_id / "artifacts" / "table.json").read_text())
    assert table["columns"][:2] == ["method", "seeds"]
    assert [row[0] for row in table["data"]] == ["er", "finetune"]
    ends = [run.info.end_time for run in runs]
    assert abs(parent.info.end_time - max(ends)) < 2000
    before = client.get_run(parent.info.run_id).data
    synced = cli.here("sync", "--json", out=tmp_path).document
    assert [row["problem"] for row in synced["invocations"]] == [None]
    after = client.get_run(parent.info.run_id).data
    assert (after.metrics, after.params) == (before.metrics, before.params)
    assert len(client.get_metric_history(parent.info.run_id, "accuracy/last/er")) == 1


def test_a_damaged_invocation_does_not_keep_others_from_the_store(cli: CommandLine, tmp_path: Path) -> None:
    for _ in range(2):
        cli.here("run", "supremix_agedb", *SMALL, "--method", "l1", out=tmp_path)
    damaged, whole = sorted(path.parent for path in tmp_path.glob("*/invocation.json"))
    (damaged / "invocation.json").write_text("{ no JSON")
    done = cli.here("sync", "--json", out=tmp_path, code=4)
    problems = {row["folder"]: row["problem"] for row in done.document["invocations"]}
    assert problems[str(whole)] is None
    assert "invocation.json is damaged" in problems[str(damaged)]


def test_a_command_names_what_can_be_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("schema: 2\nextends: cdvg_cmnist\nname: mine\n")
    mine = catalog.recipe(str(path), "smoke")
    assert command(mine, ["erm"], [0], {"train.lr": "1"}) == "suites run recipe.yaml --method erm --seed 0"
    assert "suites show mine" not in experiment_note(mine)


def test_all_points_where_the_recipe_asks(cli: CommandLine, tmp_path: Path) -> None:
    cli.here("run", "supremix_agedb", *SMALL, "--method", "supcon", "tracking.metrics=all", "--json", out=tmp_path)
    client = _client(tmp_path)
    number = client.get_experiment_by_name("supremix_agedb").experiment_id
    (run,) = client.search_runs([number], "tags.method != ''")
    assert len(run.data.metrics) > MOST
    stages = {name for name in run.data.metrics if name.startswith("loss/")}
    assert len(stages) == 2, "a curve a stage"
    assert "loss" not in run.data.metrics


def test_validation_after_each_epoch_is_a_curve(cli: CommandLine, tmp_path: Path) -> None:
    cli.here("run", "supremix_agedb", *SMALL, "--method", "l1", "train.selection=validation", "--json", out=tmp_path)
    client = _client(tmp_path)
    number = client.get_experiment_by_name("supremix_agedb").experiment_id
    (run,) = client.search_runs([number], "tags.method != ''")
    curve = client.get_metric_history(run.info.run_id, "valid/mae/epoch")
    steps = [m.step for m in curve]
    assert len(steps) >= 2
    assert steps == sorted(set(steps))
    assert run.data.metrics["best/valid/mae"] == min(m.value for m in curve)
    assert len(run.data.metrics) <= MOST


def test_a_killed_run_does_not_count_the_hours_until_its_resume(cli: CommandLine, tmp_path: Path) -> None:
    cli("run", "split_digits", *SMALL, *DIGITS, "--method", "er", out=tmp_path, kill_at="iteration:8", code=None)
    (path,) = tmp_path.glob("*/er-s0/run.json")
    state = json.loads(path.read_text())
    hours = 5 * 3_600_000
    journal = path.with_name("journal.jsonl")
    points = [json.loads(line) for line in journal.read_text().splitlines()]
    for shifted in points:
        shifted["t"] -= hours
    journal.write_text("".join(json.dumps(p) + "\n" for p in points))
    path.write_text(json.dumps({**state, "started": state["started"] - hours, "session": state["session"] - hours}))
    cli.here("resume", "last", out=tmp_path)
    client = _client(tmp_path)
    number = client.get_experiment_by_name("split_digits").experiment_id
    (run,) = client.search_runs([number], "tags.method != ''")
    assert 0 < run.info.end_time - json.loads(path.read_text())["started"] < 600_000
    assert yaml.safe_load(path.with_name("recipe.yaml").read_text())["tracking"] == {"metrics": "main"}
