"""AdaCon in two stages."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..base import MethodConfig, StepContext
from ..losses.adacon import adacon
from .supcon import SupCon
from .two_stage import TwoStageConfig


class AdaConConfig(TwoStageConfig):
    """Adaptive contrast."""

    logit_scale: float = Field(150.0, gt=0, description="multiplies cosine plus margin")
    norm: float = Field(0.2, ge=0, description="margin a unit of the labels' distribution function in percent")


class AdaCon(SupCon):
    """Supervised contrast whose margin is the distance of labels in their empirical distribution."""

    Config: ClassVar[type[MethodConfig]] = AdaConConfig
    config: AdaConConfig  # type: ignore[assignment]
    name: ClassVar[str] = "adacon"
    summary: ClassVar[str] = "supervised contrast with a margin that grows with label distance"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        train = self.scaled(ctx.view.labels().to(label.device)).sort().values
        rank = torch.searchsorted(train, label.contiguous(), right=True)
        cdf = 100 * rank / len(train)
        return adacon(self._model.project(features), label, cdf, scale=self.config.logit_scale, norm=self.config.norm)


METHOD = AdaCon
