"""Rank-N-Contrast in two stages."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ..base import MethodConfig, StepContext
from ..losses.rnc import rnc
from .two_stage import TwoStage, TwoStageConfig


class RnCConfig(TwoStageConfig):
    """Rank-N-Contrast."""

    temperature: float = Field(
        2.0,
        gt=0,
        le=100,
        description="τ of distances",
        json_schema_extra={"sweep": {"low": 0.2, "high": 10.0, "log": True}},
    )


class RnC(TwoStage):
    """Rank-N-Contrast on the encoder's features, not normalised, no projector."""

    Config: ClassVar[type[MethodConfig]] = RnCConfig
    config: RnCConfig
    name: ClassVar[str] = "rnc"
    summary: ClassVar[str] = "Rank-N-Contrast: similarity falls in the order of label distance"
    projects: ClassVar[bool] = False

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        return rnc(features, label, temperature=self.config.temperature)


METHOD = RnC
