"""Coloured digits, a small classifier and a plain torch loop, for the tests of CDvG and its baselines."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import Stage, StepContext
from holdfast.methods.networks import images
from torch import Tensor


def view_of(source: Source, batch_size: int = 40, bias: Any = None) -> ExperienceView:
    table = source.splits["train"].without(frozenset({"bias"}))
    if bias is not None:
        table = Table({**table.columns, "bias": bias})
    labels = table.columns["label"]
    assert isinstance(labels, Tensor)
    classes = tuple(sorted(set(labels.tolist())))
    return ExperienceView(
        0,
        1,
        torch.arange(len(table)),
        classes,
        classes,
        len(classes),
        len(table),
        table,
        batch_size,
        0,
        torch.device("cpu"),
    )


def make_model(source: Source, **options: Any) -> Any:
    torch.manual_seed(3)
    return images.build(images.Config(width=8, features=16, **options), source.info, 0)


def run_method(method: Any, view: ExperienceView, epochs: int = 1) -> list[Stage]:
    """Both stages in a plain torch loop, with Adam for every optimizer."""
    draws = generator(0, "augment")
    method.before_experience(view)
    stages = method.stages(view)
    for stage in stages:
        method.before_stage(stage, view)
        specs = stage.optimizers
        optimizers = (
            {"main": torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 1e-3)}
            if specs is None
            else {name: torch.optim.Adam(s.parameters, **s.arguments) for name, s in specs.items()}
        )
        for epoch in range(epochs):
            for batch in view.batches():
                result = (stage.step or method.training_step)(batch, StepContext(view, stage.name, epoch, 0, draws))
                updates = (
                    [("main", result["loss"])] if isinstance(result, dict) else ((u.optimizer, u.loss) for u in result)
                )
                for name, loss in updates:
                    optimizers[name].zero_grad()
                    loss.backward()
                    optimizers[name].step()
        method.after_stage(stage, view)
    return stages


def weights_of(module: torch.nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]
