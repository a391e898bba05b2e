"""LfF on CDvG's translated views."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import StepContext, UnfitError
from ..losses.gce import gce
from ..networks.batchnorm import keep_statistics
from .cdvg import Cdvg, CdvgConfig
from .lff import LffConfig, sample_weights


class CdvgLffConfig(CdvgConfig, LffConfig):
    """CDvG's fields and the biased network's."""


class CdvgLff(Cdvg):
    """CDvG whose cross-entropy is weighted by LfF; the biased network sees original images."""

    Config: ClassVar[type[CdvgLffConfig]] = CdvgLffConfig
    config: CdvgLffConfig
    name: ClassVar[str] = "cdvg_lff"
    summary: ClassVar[str] = "CDvG with LfF's weights on its cross-entropy"

    def __init__(self, config: CdvgLffConfig, model: nn.Module, seed: int = 0) -> None:
        if config.objective != "joint":
            raise UnfitError(
                "cdvg_lff weighs the cross-entropy while the biased network learns: objective must be joint"
            )
        super().__init__(config, model, seed)
        self.biased = self._model.twin(seed, "biased")

    def weights(self, x: Tensor, batch: Batch, ctx: StepContext) -> tuple[Tensor | None, Tensor | None]:
        labels = batch["label"]
        x = self._model.views(x, ctx.augment)
        biased = self.biased.classify(self.biased.encode(x))
        with (
            torch.no_grad(),
            keep_statistics(self.model),
        ):  # both of the original; the model is trained on the views alone
            debiased = self._model.classify(self._model.encode(x))
        weights = sample_weights(
            ctx.view,
            batch,
            F.cross_entropy(biased, labels, reduction="none"),
            F.cross_entropy(debiased, labels, reduction="none"),
            self.config.alpha,
        )
        return weights, gce(biased, labels, q=self.config.q).mean()


METHOD = CdvgLff
