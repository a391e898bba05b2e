"""SupCon on labels rounded to classes, in two stages."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ..base import MethodConfig, StepContext
from ..losses.supremix import supremix
from .two_stage import TwoStage, TwoStageConfig


class ContrastConfig(TwoStageConfig):
    """Fields of a contrast without mixtures."""

    temperature: float = Field(
        0.3, gt=0, le=10, description="τ", json_schema_extra={"sweep": {"low": 0.05, "high": 1.0, "log": True}}
    )


class SupCon(TwoStage):
    """Rows of exactly equal labels are positives; labels have no order."""

    Config: ClassVar[type[MethodConfig]] = ContrastConfig
    config: ContrastConfig
    name: ClassVar[str] = "supcon"
    summary: ClassVar[str] = "supervised contrast of equal labels, blind to their order"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        z = self._model.project(features)
        return supremix(z, label, temperature=self.config.temperature, mix_neg=False, mix_pos=False, weight="none")


METHOD = SupCon
