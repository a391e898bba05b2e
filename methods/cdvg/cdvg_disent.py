"""DisEnt on CDvG's translated views."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import StepContext, UnfitError
from ..networks.batchnorm import keep_statistics
from .cdvg import Cdvg, CdvgConfig
from .disent import Branches, DisEntConfig
from .lff import sample_weights


class CdvgDisEntConfig(CdvgConfig, DisEntConfig):
    """CDvG's fields and DisEnt's."""


class CdvgDisEnt(Cdvg):
    """DisEnt whose intrinsic branch sees translated views and whose biased branch sees the image; with L_con."""

    Config: ClassVar[type[CdvgDisEntConfig]] = CdvgDisEntConfig
    config: CdvgDisEntConfig
    name: ClassVar[str] = "cdvg_disent"
    summary: ClassVar[str] = "CDvG's views in the intrinsic branch of DisEnt"

    def __init__(self, config: CdvgDisEntConfig, model: nn.Module, seed: int = 0) -> None:
        if config.objective != "joint" or config.ce_on != "views":
            raise UnfitError(
                "cdvg_disent trains both branches at once on views: objective must be joint and ce_on views"
            )
        super().__init__(config, model, seed)
        self.branches = Branches(self._model, seed)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.pixels(batch)
        views = self.views(x, batch, ctx)
        z_i = self._model.encode(torch.cat(views))  # [V·B, H]
        original = self._model.views(x, ctx.augment)
        z_b = self.branches.biased.encode(original)  # [B, H]
        with torch.no_grad(), keep_statistics(self.model):  # how hard the image itself is for each branch
            ce_i, ce_b = (
                F.cross_entropy(o, labels, reduction="none") for o in self.branches(self._model.encode(original), z_b)
            )
        weights = sample_weights(ctx.view, batch, ce_b, ce_i, c.alpha, "disent")
        loss, logs = self.branches.loss(z_i, z_b, labels, weights, c, ctx.augment)
        if c.lambda_con > 0 and c.contrast != "none":
            contrast = self.contrast(self.project(z_i), labels, len(views))
            loss = loss + c.lambda_con * contrast
            logs["loss/contrast"] = contrast
        return {"loss": loss, **logs}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return self.branches.predict(self._model, self._model.pixels(batch))


METHOD = CdvgDisEnt
