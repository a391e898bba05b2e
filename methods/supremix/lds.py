"""LDS: weights from the smoothed label density (DIR)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from ..losses.label_density import bin_weights
from .binned import Binned, BinnedConfig
from .regressor import pointwise


class LDSConfig(BinnedConfig):
    """Weights by smoothed label density."""

    reweight: Literal["sqrt_inv", "inverse"] = Field(
        "sqrt_inv", description="what a bin's count becomes before smoothing"
    )
    smooth: bool = Field(True, description="label distribution smoothing; false: plain re-weighting")


class LDS(Binned):
    """The loss of each row times the inverse smoothed density of its label."""

    Config: ClassVar[type[MethodConfig]] = LDSConfig
    config: LDSConfig
    name: ClassVar[str] = "lds"
    summary: ClassVar[str] = "end-to-end regression weighted by inverse smoothed label density"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c = self.config
        prediction = self.standardised_prediction(self._model.encode(self.input(batch, ctx)))
        each = pointwise(prediction, self.standardised(batch["label"]), c.loss)
        weight = bin_weights(
            self.counts, reweight=c.reweight, smooth=c.smooth, size=c.kernel_size, sigma=c.kernel_sigma, shape=c.kernel
        )
        return {"loss": (each * weight[self.bin(batch["label"])].float()).mean()}


METHOD = LDS
