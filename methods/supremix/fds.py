"""FDS: features calibrated to smoothed statistics of their bin (DIR)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from ..losses.label_density import bin_statistics, calibrate, smooth_statistics
from .binned import Binned, BinnedConfig
from .regressor import pointwise


class FDSConfig(BinnedConfig):
    """Calibration of features by smoothed statistics."""

    momentum: float = Field(0.9, ge=0, lt=1, description="share of the old statistics")
    start_smooth: int = Field(1, ge=0, description="first epoch whose features are calibrated")
    clip_low: float = Field(0.1, gt=0, description="smallest ratio of variances (texts: 0.5)")
    clip_high: float = Field(10.0, gt=0, description="largest ratio of variances (texts: 2)")


class FDS(Binned):
    """Features are moved from their bin's mean and variance to the smoothed ones; in training alone."""

    Config: ClassVar[type[MethodConfig]] = FDSConfig
    config: FDSConfig
    name: ClassVar[str] = "fds"
    summary: ClassVar[str] = "end-to-end regression with feature statistics smoothed over label bins"
    mean: Tensor
    variance: Tensor
    smooth_mean: Tensor
    smooth_variance: Tensor
    seen: Tensor
    epochs_done: Tensor

    def __init__(self, config: FDSConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        shape = (config.bins, self._model.d_features)
        for name, value in (("mean", 0.0), ("variance", 1.0), ("smooth_mean", 0.0), ("smooth_variance", 1.0)):
            self.register_buffer(name, torch.full(shape, value))
        self.register_buffer("seen", torch.zeros(config.bins, dtype=torch.bool))
        self.register_buffer("epochs_done", torch.tensor(0))

    def after_epoch(self, ctx: StepContext) -> None:
        """Statistics of each bin over the epoch's rows, then their smoothed form for the next epoch."""
        self.eval()
        rows = torch.cat([ctx.view.index, self.memory()])
        with torch.no_grad():
            parts = [
                (self._model.encode(self._model.inputs(b)).float(), self.bin(b["label"]))
                for b in ctx.view.batches(rows)
            ]
            f, bins = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
            c = self.config
            moved = bin_statistics(f, bins, self.mean, self.variance, self.seen, c.momentum)
            for buffer, value in zip((self.mean, self.variance, self.seen), moved, strict=True):
                buffer.copy_(value)
            self.smooth_mean.copy_(smooth_statistics(self.mean, c.kernel_size, c.kernel_sigma, c.kernel))
            self.smooth_variance.copy_(smooth_statistics(self.variance, c.kernel_size, c.kernel_sigma, c.kernel))
            self.epochs_done += 1
        self.train()

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        features = self._model.encode(self.input(batch, ctx))
        if int(self.epochs_done) >= max(1, self.config.start_smooth):
            b = self.bin(batch["label"])
            moved = calibrate(
                features.float(),
                self.mean[b],
                self.variance[b],
                self.smooth_mean[b],
                self.smooth_variance[b],
                self.config.clip_low,
                self.config.clip_high,
            )
            features = torch.where(self.seen[b][:, None], moved, features.float())
        return {
            "loss": pointwise(
                self.standardised_prediction(features), self.standardised(batch["label"]), self.config.loss
            ).mean()
        }


METHOD = FDS
