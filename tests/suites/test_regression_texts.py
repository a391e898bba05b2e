"""Sentence pairs through a text model in a folder, by the real command line: a run, a kill and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.suites.tracking.journal import comparable

from .process import CommandLine


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Callable[..., Path]) -> list[str]:
    source = supremix_stsb.load(supremix_stsb.Config(n_train=48, n_test=20), None)
    assert source.info.pairs is not None
    texts = [text for pair in source.info.pairs.texts["train"] for text in pair]
    folder = tiny_bert(tmp_path_factory.mktemp("model"), texts)
    model = ["model.options.encoder=transformers", f"model.options.encoder_name={folder}"]
    return ["run", "supremix_stsb", "--profile", "smoke", "--json", *model]


@pytest.mark.slow
def test_a_killed_run_of_a_text_model_ends_as_an_undisturbed_one(out: Path, small: list[str], cli: CommandLine) -> None:
    chosen = [*small, "--method", "supremix", "data.options.fraction=0.9"]
    whole = cli(*chosen, out=out).document["runs"]
    cli(*chosen, out=out, kill_at="iteration:5", code=-9)
    resumed = cli("resume", "last", "--json", out=out).document["runs"][0]

    def numbers(run: Any) -> dict[str, float]:
        return {k: v for k, v in run["metrics"].items() if k != "cost/seconds_per_step"}

    assert numbers(resumed) == numbers(whole[0])
    assert comparable(Path(resumed["folder"]) / "journal.jsonl") == comparable(
        Path(whole[0]["folder"]) / "journal.jsonl"
    )


def test_a_text_model_that_is_not_there_is_one_message(out: Path, small: list[str], cli: CommandLine) -> None:
    before = sorted(path.name for path in out.iterdir())
    error = cli(*small[:-1], "model.options.encoder_name=./nowhere", out=out, code=3).document["error"]
    assert error["code"] == "data"
    assert "no readable transformers model './nowhere'" in error["what"]
    table = ["run", "supremix_tabular", "--profile", "smoke", "--json", *small[5:]]
    error = cli(*table, out=out, code=2).document["error"]
    assert error["code"] == "recipe"
    assert "takes pairs of texts" in error["what"]
    assert sorted(path.name for path in out.iterdir()) == before
