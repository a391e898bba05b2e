"""The learning rate over a stage: plain formulas, and the length that the sampler gives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.methods.base import Method, StepContext, UnfitError, Update
from holdfast.methods.continual.er import ER
from holdfast.methods.training.schedules import TorchSchedule, factor_of, scheduler_names, torch_scheduler
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor, nn
from torch.nn import functional as F

from .families import Classifier, Recorder, build, finish


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
    scenario = class_incremental(Source({"train": table}, list("abcd"), DataInfo(), "stand-in", "0"), 2)
    method = ER(ER.Config(memory_share=None, memory_rows=8, batching=batching), Classifier(), 0)
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


class Plain(Method):
    """Cross-entropy of one layer."""

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(batch["x"]), batch["label"])}


# What a class needs beside what the stage fills in; 8 optimizer steps an experience (30 rows, batches of 8, 2 epochs).
OPTIONS: dict[str, dict[str, Any]] = {
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "CyclicLR": {"base_lr": 1e-3, "max_lr": 1e-2, "step_size_up": 3},
    "ExponentialLR": {"gamma": 0.8},
    "MultiStepLR": {"milestones": [2, 5]},
    "OneCycleLR": {"pct_start": 0.5},
    "StepLR": {"step_size": 3},
}
FILLED: dict[str, dict[str, Any]] = {
    "CosineAnnealingLR": {"T_max": 8},
    "OneCycleLR": {"total_steps": 8, "max_lr": 0.1},
    "PolynomialLR": {"total_iters": 8},
}


@pytest.mark.parametrize("name", scheduler_names())
def test_a_scheduler_of_torch_moves_as_in_a_plain_loop_and_resumes_to_the_bit(name: str) -> None:
    options = OPTIONS.get(name, {})
    settings: dict[str, Any] = {
        "optimizer": "SGD",
        "optimizer_arguments": {"lr": 0.1, "momentum": 0.9},
        "schedule": TorchSchedule(name, options),
        "warmup_steps": 0,
    }
    whole, first, second, rates = Recorder(), Recorder(5), Recorder(), Rates()
    strategy, experiences = build(Plain, whole, **settings)
    strategy.plugins.append(rates)
    finish(strategy, experiences)
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = getattr(torch.optim.lr_scheduler, name)(sgd, **FILLED.get(name, {}), **options)
    for used in rates.used:
        assert len(used) == 8
    for rate in rates.used[0]:
        assert rate == sgd.param_groups[0]["lr"]
        sgd.step()
        scheduler.step()
    assert rates.used[1] == rates.used[0]  # new in each experience
    strategy, experiences = build(Plain, first, **settings)
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    first.saved.seek(0)
    strategy, experiences = build(Plain, second, **settings)
    strategy.load_state_dict(torch.load(first.saved, weights_only=True), experience=experiences[0])
    finish(strategy, experiences)
    assert first.lines + second.lines == whole.lines


class Twice(Method):
    """Two optimizer steps a batch: twice as many as the schedule has."""

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        for _ in range(2):
            yield Update(F.cross_entropy(self.model(batch["x"]), batch["label"]))


@pytest.mark.parametrize("name", ["OneCycleLR", "CosineAnnealingLR"])
def test_the_rate_stays_where_the_schedule_ends(name: str) -> None:
    rates = Rates()
    strategy, experiences = build(Twice, Recorder(), schedule=TorchSchedule(name), warmup_steps=0)
    strategy.plugins.append(rates)
    strategy.train(experiences[0], eval_streams=[])
    used = rates.used[0]
    assert len(used) == 16
    assert len(set(used[8:])) == 1
    assert used[8] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "ReduceLROnPlateau",
            {},
            r"schedule\.name: ReduceLROnPlateau cannot be named in a recipe: it waits for a metric",
        ),
        ("LambdaLR", {}, r"schedule\.name: LambdaLR .*OptimizerSpec\.factor"),
        ("OneCycle", {}, r"schedule\.name: torch\.optim\.lr_scheduler has no 'OneCycle' .*OneCycleLR"),
        ("StepLR", {"gama": 0.1}, r"schedule\.options\.gama: StepLR has no such option .*gamma"),
        ("StepLR", {}, r"schedule\.options: StepLR: .*step_size"),
        ("OneCycleLR", {"pct_start": 2.0}, r"schedule\.options: OneCycleLR: .*pct_start"),
    ],
)
def test_a_scheduler_that_cannot_be_made_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(UnfitError, match=r"train\." + message):
        torch_scheduler(sgd, TorchSchedule(name, options), 8)
