"""y-Aware contrast in two stages."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ..base import MethodConfig, StepContext
from ..losses.yaware import yaware
from .supcon import ContrastConfig, SupCon


class YAwareConfig(ContrastConfig):
    """Y-aware InfoNCE."""

    sigma: float = Field(
        2.0,
        gt=0,
        description="σ of the Gaussian over scaled labels",
        json_schema_extra={"sweep": {"low": 0.5, "high": 10.0, "log": True}},
    )
    variant: Literal["yaware", "exp", "official"] = Field(
        "yaware", description="weights by rows; the exponential form; the repository's form"
    )


class YAware(SupCon):
    """Positives are weighted by a Gaussian of the label distance."""

    Config: ClassVar[type[MethodConfig]] = YAwareConfig
    config: YAwareConfig
    name: ClassVar[str] = "yaware"
    summary: ClassVar[str] = "InfoNCE with positives weighted by label nearness"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        c = self.config
        return yaware(self._model.project(features), label, sigma=c.sigma, temperature=c.temperature, variant=c.variant)


METHOD = YAware
