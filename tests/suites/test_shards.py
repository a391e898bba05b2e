"""Predictions that a run keeps: the same bits back, a killed evaluation that goes on, and the worst rows."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from holdfast.analysis.problems.evaluator import Evaluator, Measurement
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import single
from holdfast.datasets.core.table import Table
from holdfast.suites import api
from holdfast.suites.runtime import evaluation as evaluations
from holdfast.suites.runtime import remove, shards
from holdfast.suites.runtime.checkpoints import Checkpoints
from holdfast.suites.runtime.shards import Shards
from holdfast.suites.tracking.journal import comparable

from .process import CommandLine

DIGITS = ("split_digits", "--method", "er", "--profile", "smoke", "--json")


def batches() -> list[tuple[dict[str, Any], Any]]:
    g = np.random.default_rng(0)
    pairs = []
    for k, width in enumerate((3, 5, 1)):
        outputs: dict[str, Any] = {
            "label": g.integers(0, 9, 4),
            "scores": g.normal(size=(4, 2)).astype(np.float32),
            "tokens": g.integers(0, 9, (4, width)).astype(np.int32),
            "map": g.integers(0, 2, (4, 2, 3)).astype(bool),
            "half": g.normal(size=(4, 2)).astype(np.float16),
        }
        outputs["scores"][0, 0] = np.nan
        pairs.append((outputs, np.arange(4) + 4 * k))
    return pairs


def same(one: list[Any], two: list[Any]) -> None:
    assert len(one) == len(two)
    for (a, rows), (b, others) in zip(one, two, strict=True):
        assert list(a) == list(b)
        assert rows.tolist() == others.tolist()
        for name in a:
            assert a[name].dtype == b[name].dtype
            assert a[name].shape == b[name].shape
            assert a[name].tobytes() == b[name].tobytes()


def test_batches_come_back_with_their_bits(tmp_path: Path) -> None:
    kept = Shards(tmp_path, 2**20, pytest.fail)
    kept.begin(3, "abc")
    pairs = batches()
    same(list(kept.keep("test", 0, iter(pairs))), pairs)
    same(list(kept.kept("test", 0)), pairs)
    same(list(shards.stored(tmp_path, "test")), pairs)
    assert shards.count(tmp_path, "test") == 12
    assert list(kept.kept("test", 1)) == []
    frame = parquet.read_table(tmp_path / shards.FOLDER).to_pandas()
    assert frame["row"].tolist() == list(range(12))
    again = Shards(tmp_path, 2**20, pytest.fail)
    again.begin(3, "abc")
    assert len(list(again.kept("test", 0))) == 3
    again.begin(3, "another evaluation")
    assert list(again.kept("test", 0)) == []


def test_no_more_is_kept_than_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SIZE", 1)  # a file for each batch
    said: list[str] = []
    kept = Shards(tmp_path, 10_000, said.append)
    kept.begin(0, "abc")
    pairs = batches() * 3
    same(list(kept.keep("test", 0, iter(pairs))), pairs)
    held = list(kept.kept("test", 0))
    assert 0 < len(held) < 9
    assert sum(path.stat().st_size for path in kept.folder.iterdir()) <= 10_000
    assert len(said) == 1
    assert "evaluate.predictions_mib" in said[0]


class _Sum(Measurement):
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.sum = np.float32(0)

    def update(self, outputs: Any, rows: Any) -> None:
        self.batches.append(rows.tolist())
        self.sum = self.sum + outputs["value"].sum(dtype=np.float32)

    def compute(self) -> dict[str, float]:
        return {"sum": float(self.sum)}


class _Problem(Evaluator):
    main = "sum"

    def measurement(self, split: str) -> _Sum:
        return _Sum()


class _Method(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.fails_at = 10**9

    def predict(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if len(self.seen) >= self.fails_at:
            raise KeyboardInterrupt
        self.seen += batch["index"].tolist()
        return {"value": batch["x"].sin()}


def _evaluation(method: _Method) -> evaluations.Evaluation:
    table = Table({"x": torch.randn(50, generator=torch.Generator().manual_seed(0))})
    scenario = single(Source({"train": table, "test": table}, (), DataInfo(), "stand-in", "abc"))

    def made(table: Table, rows: torch.Tensor, skip: int = 0) -> Iterator[Any]:
        for part in rows.split(8)[skip:]:
            yield table.gather(part)

    strategy: Any = SimpleNamespace(method=method, evaluation_batches=made)
    data: Any = SimpleNamespace()
    main: Any = None
    return evaluations.Evaluation(strategy, scenario, _Problem(data), main, lambda: None)


def test_an_evaluation_that_was_stopped_predicts_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SIZE", 1)
    whole = _evaluation(_Method())
    wanted = whole.measure("test", [0])
    first, second = _Method(), _Method()
    first.fails_at = 24
    stopped, resumed = _evaluation(first), _evaluation(second)
    for each in (stopped, resumed):
        each.shards = Shards(tmp_path, 2**20, pytest.fail)
    assert stopped.shards is not None
    assert resumed.shards is not None
    stopped.shards.begin(0, "abc")
    with pytest.raises(KeyboardInterrupt):
        stopped.measure("test", [0])
    resumed.shards.begin(0, "abc")
    got = resumed.measure("test", [0])
    assert second.seen == list(range(24, 50))
    assert isinstance(got, _Sum)
    assert isinstance(wanted, _Sum)
    assert got.batches == wanted.batches
    assert got.compute() == wanted.compute()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def plain(out: Path, cli: CommandLine) -> Path:
    """A run that keeps nothing."""
    return Path(cli.here("run", *DIGITS, out=out).document["runs"][0]["folder"])


@pytest.fixture(scope="module")
def kept(out: Path, plain: Path, cli: CommandLine) -> Path:
    """The same run with its predictions, killed in the evaluation after the third experience, and resumed."""
    cli("run", *DIGITS, "evaluate.predictions=true", out=out, kill_at="shard:8", code=-signal.SIGKILL)
    run = max(out.glob("split_digits-*/er-s0"), key=lambda path: path.stat().st_mtime_ns)
    state = Checkpoints(run / "checkpoint").load(pytest.fail)
    assert state is not None
    assert state["evaluating"]
    assert not state["training"]  # it goes on with the evaluation, and trains nothing again
    return Path(cli.here("resume", "last", "--json", out=out).document["runs"][0]["folder"])


def test_a_run_killed_while_it_evaluates_ends_in_the_same_numbers(plain: Path, kept: Path) -> None:
    assert not (plain / shards.FOLDER).exists()
    assert comparable(kept / "journal.jsonl") == comparable(plain / "journal.jsonl")
    assert (kept / "matrix.csv").read_bytes() == (plain / "matrix.csv").read_bytes()
    names = {shards.NAME.fullmatch(path.name) for path in (kept / shards.FOLDER).iterdir()}
    assert {name["after"] for name in names if name} == {"0004"}  # of the newest evaluation alone
    assert {name["split"] for name in names if name} == {"valid", "test"}
    assert remove.target_of(kept.parent, kept.parent.parent).plan.left == []


def test_predictions_of_a_run_are_those_it_kept_or_those_made_now(plain: Path, kept: Path, cli: CommandLine) -> None:
    stored = {row["row"]: row for row in api.predictions(kept)}
    made = {row["row"]: row for row in api.predictions(plain)}
    assert stored.keys() == made.keys()
    assert all(stored[row]["predicted/label"] == made[row]["predicted/label"] for row in made)
    wrong = sum(row["truth"] != row["predicted/label"] for row in made.values())
    assert 1 - wrong / len(made) == pytest.approx(_last_accuracy(plain))
    worst = list(api.predictions(kept, worst=5))
    assert [row["row_error"] for row in worst] == sorted((r["row_error"] for r in stored.values()), reverse=True)[:5]
    said = cli.here("predictions", str(kept), "--worst", "5", out=plain.parent).stdout.splitlines()
    assert [json.loads(line) for line in said] == worst
    text = cli.here("predictions", str(kept), "--split", "valid", "--format", "csv", out=plain.parent).stdout
    assert text.startswith("split,row,truth,class,row_error,predicted/label")


def _last_accuracy(run: Path) -> float:
    points = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return float(next(p["value"] for p in reversed(points) if p["name"] == "accuracy/pooled"))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [(("--split", "nothing"), "no split"), (("--worst", "0"), "worst"), (("--format", "x"), "format")],
)
def test_a_wrong_question_is_one_message(arguments: tuple[str, ...], what: str, plain: Path, cli: CommandLine) -> None:
    from holdfast.suites.cli import errors

    heard: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        plain_fault = errors.fault_of

        def fault_of(error: Exception) -> Any:
            heard.append(str(error))
            return plain_fault(error)

        patch.setattr(errors, "fault_of", fault_of)
        cli.here("predictions", str(plain), *arguments, out=plain.parent, code=2)
    assert what in heard[0]
