"""COCONUT on views in the style of other classes: replay for a stream in which a voice gives the class away.

Ours, from parts that are known. CDvG (of the family cdvg) translates each image into the bias of another class and
contrasts the translations. Of speech, a translator that is trained first would cost more than the whole stream, and
what a voice does to frames is mostly their mean and deviation over time (feature statistics as style: Huang and
Belongie, ICCV 2017; Zhou et al., MixStyle, ICLR 2021). So a view of a row has its frames and the statistics of a row of
another class.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, UnfitError
from ..losses.conflict_supcon import conflict_supcon
from ..networks.protocols import Requires, SequenceModel
from .coconut import Coconut, CoconutConfig

SMALL = 1e-3  # a mean over time below this is that of frames that were normalised


class CoconutViewsConfig(CoconutConfig):
    """Fields of the views beside those of COCONUT."""

    style: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of the other row's statistics in a view; 1: all of them",
        json_schema_extra={"sweep": {"choices": [0.25, 0.5, 1.0]}},
    )
    lambda_views: float = Field(
        0.1,
        ge=0,
        description="λ_views, weight of the contrast of rows and views",
        json_schema_extra={"sweep": {"low": 0.01, "high": 1.0, "log": True}},
    )
    conflict: float = Field(
        4.0, gt=0, description="ω, how much more a positive in another style weighs than one in the same"
    )


class CoconutViews(Coconut):
    """COCONUT on every row and a view of it; views are further positives of MM and NSPT, and of a contrast of their
    own.
    """

    Config: ClassVar[type[CoconutViewsConfig]] = CoconutViewsConfig
    config: CoconutViewsConfig
    name: ClassVar[str] = "coconut_views"
    summary: ClassVar[str] = "COCONUT on rows and views in the style of other classes, against a bias of the voice"
    requires: ClassVar[Requires] = Requires(model=SequenceModel, columns=("features", "tokens", "intent", "label"))

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        first = view.gather(view.index[:1])["features"]
        if first.dim() != 3:
            raise UnfitError("coconut_views makes views of frames: leave data.options.features: waveform out")
        if float(first.mean(1).abs().max()) < SMALL:
            what = "the frames have mean 0 in every band, so that a view would be the row itself"
            raise UnfitError(f"coconut_views: {what}: keep the encoder frozen (model.options.frozen: true)")

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c = self.config
        batch, styles = with_views(batch, c.style, ctx.augment)  # (a) rows, then their views
        batch = self._model.augment(batch, ctx.augment)
        h, mask = self._model.encode(batch)  # (b) [2B, T, d_A], [2B, T]
        found = self.objective(h, mask, batch, ctx)  # (c) L_ASR, MM, NSPT and distillations on both
        if c.lambda_views > 0:  # (d)
            z = self.project_audio(self._pool(h, mask))  # [2B, d_S]
            views = conflict_supcon(z, batch["intent"], styles, temperature=c.temperature, conflict=c.conflict)
            found |= {"loss": found["loss"] + c.lambda_views * views, "loss/views": views}
        return found


def with_views(batch: Batch, share: float, generator: torch.Generator) -> tuple[Batch, Tensor]:
    """The rows [B] and a view of each [B], and the class whose style each of the 2B bears, [2B].

    A view is ``σ (x - μ_i) / σ_i + μ`` of frames x [T, d], with ``μ = (1 - m) μ_i + m μ_j`` and σ alike: mean and
    deviation of each feature over valid frames, of the row itself and of a row j of another class (of the column
    ``label``) that ``generator`` draws; m is ``share``. Where the batch has one class the view is the row itself.
    """
    x, lengths, labels = batch["features"], batch["features_lengths"], batch["label"]
    valid = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]  # [B, T, 1]
    n = valid.sum(1).clamp(min=1)
    mean = (x * valid).sum(1) / n  # [B, d]
    deviation = (((x - mean[:, None]) * valid).square().sum(1) / n).sqrt()
    score = torch.rand(len(x), len(x), generator=generator).to(x.device)
    other = score.masked_fill(labels[:, None] == labels, -1.0).argmax(1)  # [B]
    other = torch.where((labels[:, None] != labels).any(1), other, torch.arange(len(x), device=x.device))
    to_mean, to_deviation = mean.lerp(mean[other], share), deviation.lerp(deviation[other], share)
    scale = to_deviation / deviation.clamp(min=SMALL)
    view = ((x - mean[:, None]) * scale[:, None] + to_mean[:, None]) * valid
    doubled = {name: torch.cat([value, value]) for name, value in batch.items()}
    return {**doubled, "features": torch.cat([x, view.to(x.dtype)])}, torch.cat([labels, labels[other]])


METHOD = CoconutViews
