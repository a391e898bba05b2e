"""The learning rate over a stage: plain formulas, and the length that the sampler gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Table
from holdfast.methods.continual.er import ER
from holdfast.methods.training.schedules import factor_of
from holdfast.methods.training.strategy import MethodStrategy, TrainingSettings

from .families import Classifier


def test_factors_equal_the_formulas() -> None:
    assert factor_of("constant", steps_per_epoch=7, epochs=3) is None
    cosine = factor_of("cosine", steps_per_epoch=5, epochs=4, warmup=2)
    assert cosine is not None
    for step in range(20):
        wanted = (step + 1) / 2 if step < 2 else 0.5 * (1 + math.cos(math.pi * (step - 2) / 18))
        assert cosine(step) == pytest.approx(wanted)
    steps = factor_of("multistep", steps_per_epoch=5, epochs=4, milestones=(1, 3), gamma=0.1)
    assert steps is not None
    assert [round(steps(s), 6) for s in (0, 4, 5, 14, 15, 19)] == [1, 1, 0.1, 0.1, 0.01, 0.01]


class Rates:
    """Notes the learning rate that every optimizer step used."""

    supports_distributed = False

    def __init__(self) -> None:
        self.used: list[list[float]] = []

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.used.append([])

    def before_update(self, strategy: Any, **kwargs: Any) -> None:
        self.used[-1].append(strategy.optimizers["main"].param_groups[0]["lr"])


@pytest.mark.parametrize("batching", ["concat", "balanced"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_cosine_ends_with_the_last_step(batching: str, accumulate: int) -> None:
    """Balanced batches are more than rows / batch size; accumulation rounds up: the schedule counted neither."""
    g = generator(0, "x")
    table = Table({"x": torch.randn(80, 3, generator=g), "label": torch.arange(80) % 4})
    scenario = class_incremental(Source({"train": table}, list("abcd"), {}, "stand-in", "0"), 2)
    method = ER(ER.Config(memory_size=8, batching=batching), Classifier(), 0)
    rates = Rates()
    settings = TrainingSettings(epochs=3, batch_size=8, schedule="cosine", accumulate=accumulate)
    strategy = MethodStrategy(method=method, settings=settings, plugins=[rates])
    for experience in scenario.streams["train"]:
        strategy.train(experience, eval_streams=[])
    for used in rates.used:
        n = len(used)
        wanted = [1e-3 * 0.5 * (1 + math.cos(math.pi * k / n)) for k in range(n)]
        assert used == pytest.approx(wanted)
    batches = 10 if batching == "balanced" else 6
    assert len(rates.used[1]) == 3 * math.ceil(batches / accumulate)
