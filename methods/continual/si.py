"""Synaptic intelligence: what a weight did for the loss while it moved says how firmly it is held afterwards.

Source: Zenke, Poole, Ganguli, Continual learning through synaptic intelligence, ICML 2017, arXiv 1703.04200. Our
readings are on the page docs/methods/continual.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, MethodConfig, StepContext, Update
from ..losses.quadratic_penalty import path_importance
from ..networks.protocols import Learner, Requires
from .anchors import Anchors


class SIConfig(MethodConfig):
    """How much the past counts."""

    strength: float = Field(
        1.0,
        ge=0,
        description="c, weight of the penalty",
        json_schema_extra={"sweep": {"low": 0.01, "high": 100.0, "log": True}},
    )
    damping: float = Field(0.001, gt=0, description="ξ, keeps the importance of weights that hardly moved finite")


class SI(Method[Learner]):
    """L = L_task + c Σ_i Ω_i (θ_i - θ*_i)².

    Over the steps of an experience ω_i = -Σ g_i δ_i, g the gradient of L_task as the optimizer got it and δ what the
    step moved the weight by; at its end Ω_i += max(ω_i, 0) / (Δ_i² + ξ), Δ the movement over the experience, and
    θ* = θ.
    """

    Config: ClassVar[type[SIConfig]] = SIConfig
    config: SIConfig
    name: ClassVar[str] = "si"
    summary: ClassVar[str] = "synaptic intelligence"
    requires: ClassVar[Requires] = Requires(model=Learner)

    def __init__(self, config: SIConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.anchors = Anchors(model)

    def before_experience(self, view: ExperienceView) -> None:
        tables = self.anchors.tables
        tables.setdefault("importance", self.anchors.zeros())
        tables["anchor"] = self.anchors.values()
        tables["path"] = self.anchors.zeros()

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        """One Update; what stands behind it runs once the optimizer has moved."""
        task, logs = self._model.loss(self._model.augment(batch, ctx.augment))
        penalty = self.config.strength * self.anchors.penalty()
        before = self.anchors.values()
        held = {"loss/task": task, "loss/penalty": penalty} if ctx.view.experience else {}
        yield Update(task + penalty, logs={**logs, **held})
        self._follow(before)

    @torch.no_grad()
    def _follow(self, before: dict[str, Tensor]) -> None:
        """ω -= g δ, without the penalty's share of the gradient. Steps that only accumulate move nothing and add 0."""
        tables, c = self.anchors.tables, self.config.strength
        for name, p in self.anchors.parameters_by_name().items():
            if p.grad is None:
                continue
            pull = 2 * c * tables["importance"][name] * (before[name] - tables["anchor"][name])
            tables["path"][name] -= (p.grad - pull) * (p.detach() - before[name])

    def after_experience(self, view: ExperienceView) -> None:
        tables, now = self.anchors.tables, self.anchors.values()
        for name, path in tables["path"].items():
            moved = now[name] - tables["anchor"][name]
            tables["importance"][name] = tables["importance"][name] + path_importance(path, moved, self.config.damping)


METHOD = SI
