"""Balanced MSE."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from ..losses.bmse import balanced_mse
from .regressor import RegressionConfig, Regressor


class BMSEConfig(RegressionConfig):
    """Balanced MSE."""

    sigma: float = Field(
        1.0, gt=0, le=100, description="first value of the learnt σ, in standard deviations of the label"
    )


class BMSE(Regressor):
    """Balanced MSE over the labels of a batch, σ learnt."""

    Config: ClassVar[type[MethodConfig]] = BMSEConfig
    config: BMSEConfig
    name: ClassVar[str] = "bmse"
    summary: ClassVar[str] = "end-to-end regression with the balanced squared error"

    def __init__(self, config: BMSEConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.noise = nn.Parameter(torch.tensor(float(torch.tensor(config.sigma).expm1().log())))  # σ = softplus(noise)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        unit = (self.spread * self.scale).float()  # a standard deviation in scaled labels
        prediction = self.standardised_prediction(self._model.encode(self.input(batch, ctx)))
        sigma = F.softplus(self.noise).clamp(min=1e-3)
        loss = balanced_mse(prediction * unit, self.standardised(batch["label"]) * unit, sigma)
        return {"loss": loss / unit.square(), "sigma": sigma}


METHOD = BMSE
