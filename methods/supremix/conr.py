"""ConR: a contrast of wrongly close predictions."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from ..losses.conr import conr
from .regressor import RegressionConfig, Regressor, pointwise


class ConRConfig(RegressionConfig):
    """ConR beside the regression loss."""

    window: float = Field(
        1.0,
        ge=0,
        description="w, in scaled labels",
        json_schema_extra={"sweep": {"low": 0.5, "high": 10.0, "log": True}},
    )
    conr_weight: float = Field(
        4.0, ge=0, description="β", json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}}
    )
    push: float = Field(0.01, ge=0, description="η, exponent of the label distance of a pushed pair")
    temperature: float = Field(0.2, gt=0, le=10, description="τ (the public code overwrites it with 0.07)")
    masks: Literal["exact", "official"] = Field(
        "exact", description="official: every row that is no positive adds 1 below, as in the public code"
    )


class ConR(Regressor):
    """Regression + ConR on projections of two views."""

    Config: ClassVar[type[MethodConfig]] = ConRConfig
    config: ConRConfig
    name: ClassVar[str] = "conr"
    summary: ClassVar[str] = "end-to-end regression; rows mistaken for each other pushed apart by label distance"
    projected: ClassVar[bool] = True

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c = self.config
        features = self.views(batch, ctx, 2)
        prediction, label = self.standardised_prediction(features), batch["label"].repeat(2)
        plain = pointwise(prediction, self.standardised(label), c.loss).mean()
        raw = prediction.detach().double() * self.spread + self.center
        contrast = conr(
            self._model.project(features),
            self.scaled(label),
            self.scaled(raw),
            window=c.window,
            temperature=c.temperature,
            push=c.push,
            masks=c.masks,
        )
        return {"loss": plain + c.conr_weight * contrast, "conr": contrast}


METHOD = ConR
