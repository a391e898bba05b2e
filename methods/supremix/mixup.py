"""Mixup of inputs and labels."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from ..losses.supremix import beta_draws
from .regressor import Loss, RegressionConfig, Regressor, pointwise


class MixupConfig(RegressionConfig):
    """Inputs and labels are mixed with those of another row."""

    loss: Loss = Field("mse", description="loss of the regressor on standardised labels")
    alpha: float = Field(
        2.0,
        gt=0,
        le=100,
        description="λ ~ Beta(α, α), one draw a batch",
        json_schema_extra={"sweep": {"choices": [0.5, 1.0, 2.0]}},
    )
    manifold: bool = Field(False, description="mix the encoder's output instead of its input (texts always do)")


class Mixup(Regressor):
    """x̃ = λ x_i + (1-λ) x_j, ỹ alike; j is a random row of the training set."""

    Config: ClassVar[type[MethodConfig]] = MixupConfig
    config: MixupConfig
    name: ClassVar[str] = "mixup"
    summary: ClassVar[str] = "end-to-end regression on mixtures of random rows and their labels"

    def partners(self, batch: Batch, rows: Tensor, ctx: StepContext) -> Tensor:
        """A training row id for each row of the batch, [B], from ``rows``."""
        return rows[torch.randint(len(rows), (len(batch["index"]),), generator=ctx.augment)]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        rows = torch.cat([ctx.view.index, self.memory()])
        other = ctx.view.gather(self.partners(batch, rows, ctx))
        lam = float(beta_draws((1,), self.config.alpha, self.config.alpha, ctx.augment))
        own, theirs = self.input(batch, ctx), self.input(other, ctx)
        if self.config.manifold or "x" not in own:
            features = lam * self._model.encode(own) + (1 - lam) * self._model.encode(theirs)
        else:
            features = self._model.encode({**own, "x": lam * own["x"] + (1 - lam) * theirs["x"]})
        label = lam * self.standardised(batch["label"]) + (1 - lam) * self.standardised(other["label"])
        return {"loss": pointwise(self.standardised_prediction(features), label, self.config.loss).mean()}


METHOD = Mixup
