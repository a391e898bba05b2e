"""Supervised contrast of the membership: rows of one set attract each other."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import StepContext
from ..losses.supcon import supcon
from .two_spaces import OneSpace, TwoSpacesConfig


class SupConConfig(TwoSpacesConfig):
    """The contrast."""

    temperature: float = Field(
        0.1,
        gt=0,
        le=10,
        description="τ of the contrast",
        json_schema_extra={"sweep": {"low": 0.05, "high": 1.0, "log": True}},
    )


class SupConMembership(OneSpace):
    """SupCon (Khosla et al., NeurIPS 2020) with two classes, background and target, on two views."""

    Config: ClassVar[type[SupConConfig]] = SupConConfig
    config: SupConConfig
    name: ClassVar[str] = "supcon_membership"
    summary: ClassVar[str] = "supervised contrast of target against background in one space"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch = self.grouped(batch, ctx.view, ctx.iteration)
        target, tower = batch["target"], self._model.common
        z = torch.cat([tower.project(tower(v)) for v in self.views(batch, ctx.augment)])
        loss = supcon(z, target.repeat(2), temperature=self.config.temperature)
        return {"loss": loss, **self.counts(target)}


METHOD = SupConMembership
