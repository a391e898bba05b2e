"""Shares of the gradient of each loss term."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.methods.base import Method, MethodConfig, StepContext
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor
from torch.nn import functional as F

from .families import Classifier


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
