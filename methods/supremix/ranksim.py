"""RankSim: the ranks of features follow those of labels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from ..losses.ranksim import ranksim
from .regressor import RegressionConfig, Regressor, pointwise


class RankSimConfig(RegressionConfig):
    """RankSim beside the regression loss."""

    ranksim_weight: float = Field(
        100.0,
        ge=0,
        description="weight of the ranking loss",
        json_schema_extra={"sweep": {"low": 1.0, "high": 200.0, "log": True}},
    )
    step: float = Field(2.0, gt=0, description="λ of the black-box gradient of ranks")


class RankSim(Regressor):
    """Regression + RankSim on the features of a batch."""

    Config: ClassVar[type[MethodConfig]] = RankSimConfig
    config: RankSimConfig
    name: ClassVar[str] = "ranksim"
    summary: ClassVar[str] = "end-to-end regression; feature similarities ranked as label distances"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        features = self._model.encode(self.input(batch, ctx))
        plain = pointwise(
            self.standardised_prediction(features), self.standardised(batch["label"]), self.config.loss
        ).mean()
        ranking = ranksim(features, batch["label"], generator=ctx.augment, step=self.config.step)
        return {"loss": plain + self.config.ranksim_weight * ranking, "ranksim": ranking}


METHOD = RankSim
