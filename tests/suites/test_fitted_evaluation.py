"""An evaluation that fits something on training rows: of those seen so far alone, in eval mode, and with nothing of the
method moved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from holdfast.analysis.problems.classification import Classification
from holdfast.analysis.problems.contrastive_analysis import ContrastiveAnalysis
from holdfast.datasets.core import streams
from holdfast.datasets.sepclr import cifar_mnist
from holdfast.suites.config import measures
from holdfast.suites.runtime.evaluation import Evaluation
from torch import nn


class _Method(nn.Module):
    """Both spaces are batch-normalised pixels: in training mode its buffers move with each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(64)
        self.seen: list[int] = []

    def predict(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert not self.training
        assert "digit" not in batch or len(batch["digit"])
        self.seen += batch["index"].tolist()
        h = self.norm(batch["image"].flatten(1).float())
        return {"common": h, "salient": h[:, :8]}


def _evaluation() -> tuple[Evaluation, _Method, Any]:
    config = cifar_mnist.Config(n_train=40, n_valid=10, n_test=20, experiences=2)
    source = cifar_mnist.load(config, None)
    scenario = streams.given(source, 2, frozenset({"digit", "grating"}))
    method = _Method().train()

    def batches(table: Any, rows: Any, skip: int = 0) -> Any:
        for part in rows.split(16)[skip:]:
            yield table.gather(part)

    trainer: Any = SimpleNamespace(method=method, predict=method.predict, seed=0, evaluation_batches=batches)
    main = measures.metrics("contrastive_analysis").main
    return Evaluation(trainer, scenario, ContrastiveAnalysis(source), main, lambda: None), method, scenario


def test_training_rows_seen_so_far_are_predicted_and_no_other() -> None:
    evaluation, method, scenario = _evaluation()
    first, second = (experience.rows.tolist() for experience in scenario.streams["train"])
    evaluation.fit(0)
    assert method.seen == first
    method.seen.clear()
    evaluation.fit(1)
    assert method.seen == first + second


def test_no_more_training_rows_are_predicted_than_the_cap() -> None:
    evaluation, method, scenario = _evaluation()
    rows = [row for experience in scenario.streams["train"] for row in experience.rows.tolist()]
    evaluation.fit_rows, evaluation.trainer.seed = 30, 5
    seen = []
    for _ in range(2):
        method.seen.clear()
        evaluation.fit(1)
        seen.append(list(method.seen))
    assert seen[0] == seen[1]  # by the seed alone: the same rows for every method
    assert len(set(seen[0])) == len(seen[0]) == 30 < len(rows)
    assert set(seen[0]) <= set(rows)
    assert seen[0] != rows[:30]
    evaluation.trainer.seed = 6
    method.seen.clear()
    evaluation.fit(1)
    assert method.seen != seen[0]
    evaluation.fit_rows = len(rows)
    method.seen.clear()
    evaluation.fit(1)
    assert method.seen == rows


def test_nothing_of_the_method_or_of_torchs_generator_moves_and_the_values_are_the_same_again() -> None:
    evaluation, method, _ = _evaluation()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    state = torch.get_rng_state()
    values = []
    for _ in range(2):
        evaluation.fit(1)
        values.append(evaluation.each_and_pooled("test", [0, 1]))
    assert values[0] == values[1]
    assert {"common/grating/accuracy", "leak/common/digit/accuracy"} <= set(values[0][1])
    assert method.training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_are_selected_by_probes_fitted_on_the_epochs_own_outputs() -> None:
    """Even where nothing was fitted before, as in a run that was resumed."""
    evaluation, _, _ = _evaluation()
    value = evaluation.select("validation", 1)[ContrastiveAnalysis.main]
    assert value == value
    assert evaluation.best is not None


def test_other_problems_predict_no_training_row() -> None:
    evaluation, method, _ = _evaluation()
    assert Classification.fits_on is None
    evaluation.problem = SimpleNamespace(fits_on=None)  # type: ignore[assignment]
    evaluation.fit(1)
    assert not method.seen
