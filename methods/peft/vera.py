"""VeRA: random frozen A and B that all layers share, scaled by trained vectors (arXiv 2310.11454)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ..networks.adapters import LowRank
from .tuning import Tuning, TuningConfig, rate


class VeRAConfig(TuningConfig):
    """A larger rank and learning rate than LoRA's: very few numbers are trained."""

    lr: float = Field(1e-2, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-3, 5e-2))
    rank: int = Field(256, ge=1, description="r")
    adapter_dropout: float = Field(0.0, ge=0, lt=1, description="of what goes into the update")


class VeRA(Tuning):
    """r + o numbers a projection are trained."""

    Config: ClassVar[type[TuningConfig]] = VeRAConfig
    config: VeRAConfig
    name: ClassVar[str] = "vera"
    summary: ClassVar[str] = "VeRA: trained scales of shared random updates"

    def tuner_of(self, net: Any) -> LowRank:
        return LowRank(net, "vera", rank=self.config.rank, dropout=self.config.adapter_dropout)


METHOD = VeRA
