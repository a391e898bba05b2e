"""C-Mixup: partners drawn by closeness of label."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, StepContext
from .mixup import Mixup, MixupConfig


class CMixupConfig(MixupConfig):
    """Partners near in label (C-Mixup)."""

    manifold: bool = Field(True, description="mix the encoder's output instead of its input (texts always do)")
    bandwidth: float = Field(
        1.75,
        gt=0,
        description="h: P(j|i) ∝ exp(-|y_i-y_j|²/(2h²)), in scaled labels",
        json_schema_extra={"sweep": {"low": 0.2, "high": 20.0, "log": True}},
    )


def label_rates(own: Tensor, every: Tensor, bandwidth: float) -> Tensor:
    """``P(j | i) ∝ exp(-(y_i - y_j)² / (2h²))``: rates of partners, [B, n] with rows of sum 1.

    ``own`` [B] and ``every`` [n] are labels, ``bandwidth`` is h. Source: C-Mixup.
    """
    return (-(own[:, None] - every[None]).square() / (2 * bandwidth**2)).softmax(1)


class CMixup(Mixup):
    """Mixup with partners drawn by label nearness over the whole training set, the row itself included."""

    Config: ClassVar[type[MethodConfig]] = CMixupConfig
    config: CMixupConfig
    name: ClassVar[str] = "cmixup"
    summary: ClassVar[str] = "mixup with partners near in label"

    def partners(self, batch: Batch, rows: Tensor, ctx: StepContext) -> Tensor:
        label = self.scaled(ctx.view.labels(rows=rows).to(self.scale.device))
        rate = label_rates(self.scaled(batch["label"]), label, self.config.bandwidth).cpu()
        return rows[torch.multinomial(rate, 1, generator=ctx.augment)[:, 0]]


METHOD = CMixup
