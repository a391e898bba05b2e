"""β-TCVAE on both sets alike: disentanglement without the membership (Chen et al., NeurIPS 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import StepContext
from ..losses.gaussian_kl import decomposed_kl
from .autoencoder import AutoencoderConfig, TwoSpaceAutoencoder
from .two_spaces import predictions


class BetaTCConfig(AutoencoderConfig):
    """The weight of the total correlation."""

    beta: float = Field(
        6.0,
        ge=0,
        description="β, weight of the total correlation",
        json_schema_extra={"sweep": {"low": 1.0, "high": 20.0, "log": True}},
    )


class BetaTCVAE(TwoSpaceAutoencoder):
    """Reconstruction + mutual information + β total correlation + dimension-wise KL. Both towers make one latent of
    dc + ds; it fills both columns of the predictions.
    """

    Config: ClassVar[type[BetaTCConfig]] = BetaTCConfig
    config: BetaTCConfig
    name: ClassVar[str] = "beta_tcvae"
    summary: ClassVar[str] = "auto-encoder with independent latents, blind to which set a row is of"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch = self.grouped(batch, ctx.view, ctx.iteration)
        x = self._model.inputs(batch)
        c, s = self.latents(x, ctx.augment)
        sample, mean, log_variance = (
            torch.cat(pair, 1) for pair in ((c.sample, s.sample), (c.mean, s.mean), (c.log_variance, s.log_variance))
        )
        rows = len(ctx.view.index) + len(ctx.view.memory)
        information, correlation, dimensions = decomposed_kl(sample, mean, log_variance, rows)
        rebuilt = self.reconstruction(x, c.sample, s.sample)
        logs = {
            "loss/reconstruction": rebuilt,
            "loss/information": information,
            "loss/total_correlation": correlation,
            "loss/dimensions": dimensions,
        }
        loss = rebuilt + information + self.config.beta * correlation + dimensions
        return {"loss": loss, **logs, **self.counts(batch["target"])}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        whole = torch.cat(self._model.encode(self._model.inputs(batch)), 1)
        answer = predictions(whole, whole, whole, whole)
        return {**answer, "salient_code": answer["common_code"]}


METHOD = BetaTCVAE
