"""One encoder on background and target alike: the control that SepCLR's common encoder equals for λ = 0."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import StepContext
from ..losses.sepclr import align, uniformity
from .two_spaces import OneSpace, TwoSpacesConfig


class SimCLRLikeConfig(TwoSpacesConfig):
    """The contrast."""

    temperature: float = Field(0.5, gt=0, le=100, description="τ of alignment and uniformity")


class SimCLRLike(OneSpace):
    """align(c1, c2) + unif(c1) + unif(c2) over all rows; the membership is not used."""

    Config: ClassVar[type[SimCLRLikeConfig]] = SimCLRLikeConfig
    config: SimCLRLikeConfig
    name: ClassVar[str] = "simclr_like"
    summary: ClassVar[str] = "alignment and uniformity in one space, blind to which set a row is of"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch, tau = self.grouped(batch, ctx.view, ctx.iteration), self.config.temperature
        tower = self._model.common
        c1, c2 = (F.normalize(tower.project(tower(v)).float(), dim=1) for v in self.views(batch, ctx.augment))
        aligned = align(c1, c2, temperature=tau)
        spread = (uniformity(c1, temperature=tau) + uniformity(c2, temperature=tau)) / 2
        logs = {"loss/common_align": aligned, "loss/common_unif": spread, **self.counts(batch["target"])}
        return {"loss": aligned + 2 * spread, **logs}


METHOD = SimCLRLike
