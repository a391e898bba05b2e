"""The learning rate over a stage: plain formulas, and the length that the sampler gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.methods.base import Method, MethodConfig, StepContext
from holdfast.methods.continual.er import ER
from holdfast.methods.training.schedules import factor_of
from holdfast.methods.training.strategy import MethodStrategy, TrainingSettings
from torch import Tensor, nn
from torch.nn import functional as F


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


class Classifier(nn.Module):
    """What ER asks of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 4)

    def augment(self, batch: Batch, order: torch.Generator) -> Batch:
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.cross_entropy(self.encoder(batch["x"]), batch["label"])
        return loss, {"loss/ce": loss}


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


class TwoTerms(Method):
    """A loss of two weighted terms on one encoder."""

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        h = self._model.encoder(batch["x"])
        a, b = h.square().mean(), (h * batch["x"].sum(1, keepdim=True)).mean()
        return {"loss": 2 * a + 0.5 * b + 0.1 * h.abs().mean(), "loss/a": a, "loss/b": b, "other": a.detach()}


class Notes:
    """An observer that keeps the points."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def points(self, values: dict[str, float], step: int) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def test_gradient_shares_are_those_of_plain_autograd_and_move_nothing() -> None:
    table = Table({"x": torch.randn(8, 3, generator=generator(0, "x")), "label": torch.zeros(8, dtype=torch.int64)})
    source = Source({"train": table}, ["a"], DataInfo(), "stand-in", "0")
    weights: list[Tensor] = []
    for every in (0, 1):
        torch.manual_seed(1)
        method = TwoTerms(MethodConfig(), Classifier())
        start = [p.detach().clone().requires_grad_() for p in method.model.parameters()]
        notes = Notes()
        settings = TrainingSettings(batch_size=8, gradients=every, clip=1e-3)
        strategy = MethodStrategy(method=method, settings=settings, observer=notes)
        strategy.train(class_incremental(source, 1).streams["train"][0], eval_streams=[])
        weights.append(torch.cat([p.detach().flatten() for p in method.parameters()]))
        if not every:
            assert not any(name.startswith("gradient/") for name in notes.values)
    assert torch.equal(*weights)
    x = table.columns["x"]
    assert isinstance(x, Tensor)
    h = F.linear(x, start[0], start[1])
    terms = {"a": 2 * h.square().mean(), "b": 0.5 * (h * x.sum(1, keepdim=True)).mean(), "rest": 0.1 * h.abs().mean()}
    norms = {
        name: torch.cat([g.flatten() for g in torch.autograd.grad(term, start, retain_graph=True)]).norm().item()
        for name, term in terms.items()
    }
    for name, norm in norms.items():
        assert notes.values[f"gradient/{name}"] == pytest.approx(norm, rel=1e-5)
        assert notes.values[f"gradient/{name}/share"] == pytest.approx(norm / sum(norms.values()), rel=1e-5)
    assert notes.values["gradient/clipped"] == 1.0
