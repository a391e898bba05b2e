"""Avalanche's strategies and estimators through the command: a run that is cut off, a dry run, a trial of a sweep, and
what is refused.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from holdfast.methods.training.avalanche_native import AvalancheNative
from holdfast.suites import api
from holdfast.suites.config import catalog
from holdfast.suites.runtime import run as runs
from holdfast.suites.runtime.loading import TrainedRun
from holdfast.suites.tracking.journal import comparable, read

from .process import CommandLine

SMALL = ["data.options.n_train=60", "data.options.n_test=40", "data.options.n_valid=20", "data.experiences=3"]
ENTRY = "avalanche_replay"
RUN = ["run", "split_mnist", "--profile", "smoke", *SMALL, "--json", "--method"]
NATIVE = [name for name in catalog.recipe("split_mnist", "smoke").methods if name.startswith("avalanche_")]


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def test_the_entries_are_those_that_are_promised() -> None:
    kinds = ["naive", "replay", "ewc", "lwf", "si", "gdumb", "der_pp", "gem", "er_ace", "cumulative", "icarl"]
    assert [f"avalanche_{kind}" for kind in kinds] == NATIVE
    assert not set(NATIVE) & set(catalog.recipe("split_mnist", "demo").defaults)


def test_a_run_that_is_cut_off_ends_in_the_same_numbers(
    out: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cli.here(*RUN, ENTRY, out=out).document["runs"][0]
    plain = runs.Run.after_iteration

    def cut(self: runs.Run, trainer: Any) -> None:
        if trainer.iteration == 14 and isinstance(trainer, AvalancheNative):
            raise KeyboardInterrupt
        plain(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "after_iteration", cut)
        cli.here(*RUN, ENTRY, out=out, code=130)
    resumed = cli.here("resume", "last", "--json", out=out).document["runs"][0]
    first, second = Path(whole["folder"]), Path(resumed["folder"])
    assert first != second
    assert comparable(first / "journal.jsonl") == comparable(second / "journal.jsonl")
    names = {point["name"] for point in read(second / "journal.jsonl")}
    assert {"loss", "accuracy/pooled"} <= names
    assert any(name.startswith("avalanche/Top1_Acc_Epoch") for name in names)
    trained = TrainedRun(second)
    labels: Any = trained.data.splits["test"].columns["label"]
    rows: Any = trained.predict(list(range(len(labels))))
    right = [int(row["label"]) == int(y) for row, y in zip(rows, labels, strict=True)]
    assert resumed["metrics"]["accuracy/last"] == pytest.approx(sum(right) / len(right))


def test_a_dry_run_counts_its_steps_and_those_of_an_estimator() -> None:
    overrides = {text.partition("=")[0]: json.loads(text.partition("=")[2]) for text in SMALL}
    _, plan = api.dry_run("split_mnist", methods=[ENTRY, "finetune"], profile="smoke", overrides=overrides)
    steps = {row["method"]: row["steps"] for row in plan["methods"]}
    assert steps[ENTRY] == steps["finetune"] > 0
    _, fitted = api.dry_run("supremix_tabular", methods=["ridge"], profile="smoke")
    assert fitted["methods"][0]["steps"] == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (f"methods.{ENTRY}.strategy=Replai", "did you mean 'Replay'"),
        (f"methods.{ENTRY}.arguments.memory=3", "Replay takes: mem_size"),
        ("train.clip=1", "train.clip: a strategy of Avalanche has a loop of its own"),
    ],
)
def test_what_a_strategy_cannot_have_is_one_message(change: str, what: str, out: Path, cli: CommandLine) -> None:
    said = cli.here(*RUN, ENTRY, change, out=out, code=2).document["error"]["what"]
    assert what in said
    assert not [path for path in out.iterdir() if path.is_dir()], "nothing is left behind"


def test_a_checkpoint_of_another_installation_is_one_message(
    out: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: runs.Run, trainer: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "after_iteration", cut)
        cli.here(*RUN, ENTRY, out=out, code=130)
    monkeypatch.setenv("HOLDFAST_CACHE", str(out / "another"))
    said = cli.here("resume", "last", "--json", out=out, code=3).document["error"]
    assert "another installation wrote" in said["what"]


@pytest.mark.slow
def test_an_argument_is_swept(out: Path, cli: CommandLine) -> None:
    (out / "mine.yaml").write_text(
        "schema: 2\nextends: split_mnist\nname: mine\nsweep:\n  method: avalanche_replay\n"
        "  params: {methods.avalanche_replay.arguments.mem_size: {low: 10, high: 30}}\n"
    )
    run = ["sweep", "mine.yaml", "--profile", "smoke", "--trials", "2", "--sampler", "random", "--json"]
    trials = cli(*run, out=out).document["trials"]
    values = [trial["params"]["methods.avalanche_replay.arguments.mem_size"] for trial in trials]
    assert len(values) == 2
    assert all(10 <= value <= 30 for value in values)
