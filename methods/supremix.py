"""SupReMix and the contrasts it is compared with ("Mixup Your Own Pairs", arXiv 2309.16633; spec sections 3, 4, 5 and 7).

Pre-train the encoder with a contrast of two views of a batch, then train a regressor on its features (:class:`TwoStage`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from .base import MethodConfig, StepContext
from .losses.adacon import adacon
from .losses.rnc import rnc
from .losses.supremix import Weight, supremix
from .losses.yaware import yaware
from .regression import TwoStage, TwoStageConfig


class SupReMixConfig(TwoStageConfig):
    """Fields of the loss, named as in spec section 5; defaults are those of the official script."""

    temperature: float = Field(
        0.3, gt=0, le=10, description="τ", json_schema_extra={"sweep": {"low": 0.05, "high": 1.0, "log": True}}
    )
    window: float = Field(
        5.0, gt=0, description="n, how far in label the two sides of a mixed positive may lie, in scaled labels",
        json_schema_extra={"sweep": {"low": 2.0, "high": 15.0}},
    )  # fmt: skip
    beta_a: float = Field(2.0, gt=0, le=100, description="λ ~ Beta(a, b), the anchor's share of a mixed negative", json_schema_extra={"sweep": {"choices": [2.0, 5.0, 8.0]}})  # fmt: skip
    beta_b: float = Field(8.0, gt=0, le=100, description="b", json_schema_extra={"sweep": {"choices": [8.0, 5.0, 2.0]}})
    weight: Weight = Field(
        "L1_inv", description="distance magnifying: weight of a negative", json_schema_extra={"sweep": {"choices": ["L1_inv", "L2_inv", "none"]}}
    )  # fmt: skip
    mix_neg: bool = Field(True, description="mixtures of the anchor with other labels as negatives")
    mix_pos: bool = Field(True, description="mixtures of a lower and a higher label as positives")
    pool: int = Field(1, ge=1, le=1024, description="q, sub-batches that are contrasted apart (limits the cubic cost)")
    detach_mixtures: bool = Field(True, description="no gradient through mixtures")
    renormalise_mixtures: bool = Field(
        False, description="mixtures get unit length", json_schema_extra={"sweep": {"choices": [False, True]}}
    )
    logit_shift: Literal["exact", "official"] = Field("exact", description="official: the public code's two row maxima")
    max_triples_per_anchor: int | None = Field(
        None, ge=1, description="mixed positives an anchor draws at most; null: all"
    )


class SupReMix(TwoStage):
    """Supervised contrast with mixed negatives, mixed positives and distance magnifying, then probe or fine-tune."""

    Config: ClassVar[type[MethodConfig]] = SupReMixConfig
    config: SupReMixConfig
    name: ClassVar[str] = "supremix"
    summary: ClassVar[str] = "supervised contrast with mixed negatives and positives, weighted by label distance"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        c = self.config
        z = self._model.project(features)  # step 3: [V·N, d]
        n = (
            len(label) - len(label) % c.pool if len(label) >= c.pool else len(label)
        )  # the loop's last batch may be smaller
        z = z.view(c.views, len(label), -1)[:, :n].flatten(0, 1)
        return supremix(  # steps 4 to 10
            z, label[:n], temperature=c.temperature, window=c.window, mix_neg=c.mix_neg, mix_pos=c.mix_pos, weight=c.weight, beta_a=c.beta_a,
            beta_b=c.beta_b, generator=ctx.augment, pool=c.pool if n >= c.pool else 1, detach_mixtures=c.detach_mixtures,
            renormalise_mixtures=c.renormalise_mixtures, logit_shift=c.logit_shift, max_triples_per_anchor=c.max_triples_per_anchor,
        )  # fmt: skip


class MixNegConfig(SupReMixConfig):
    """Mixed negatives alone."""

    mix_pos: bool = Field(False, description="mixtures of a lower and a higher label as positives")


class MixNeg(SupReMix):
    """Ablation: mixed negatives alone."""

    Config: ClassVar[type[MethodConfig]] = MixNegConfig
    name: ClassVar[str] = "mix_neg"
    summary: ClassVar[str] = "SupReMix with mixed negatives alone"


class MixPosConfig(SupReMixConfig):
    """Mixed positives alone."""

    mix_neg: bool = Field(False, description="mixtures of the anchor with other labels as negatives")


class MixPos(SupReMix):
    """Ablation: mixed positives alone."""

    Config: ClassVar[type[MethodConfig]] = MixPosConfig
    name: ClassVar[str] = "mix_pos"
    summary: ClassVar[str] = "SupReMix with mixed positives alone"


class ContrastConfig(TwoStageConfig):
    """Fields of a contrast without mixtures."""

    temperature: float = Field(0.3, gt=0, le=10, description="τ", json_schema_extra={"sweep": {"low": 0.05, "high": 1.0, "log": True}})  # fmt: skip


class SupCon(TwoStage):
    """Rows of exactly equal labels are positives; labels have no order."""

    Config: ClassVar[type[MethodConfig]] = ContrastConfig
    config: ContrastConfig
    name: ClassVar[str] = "supcon"
    summary: ClassVar[str] = "supervised contrast of equal labels, blind to their order"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        z = self._model.project(features)
        return supremix(z, label, temperature=self.config.temperature, mix_neg=False, mix_pos=False, weight="none")


class SimCLR(SupCon):
    """The other view is the only positive; labels are not used."""

    name: ClassVar[str] = "simclr"
    summary: ClassVar[str] = "contrast of two views, without labels"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        return super().contrast(features, torch.arange(len(label), device=label.device), ctx)


class RnCConfig(TwoStageConfig):
    """Rank-N-Contrast (spec section 7)."""

    temperature: float = Field(2.0, gt=0, le=100, description="τ of distances", json_schema_extra={"sweep": {"low": 0.2, "high": 10.0, "log": True}})  # fmt: skip


class RnC(TwoStage):
    """Rank-N-Contrast on the encoder's features, not normalised, no projector."""

    Config: ClassVar[type[MethodConfig]] = RnCConfig
    config: RnCConfig
    name: ClassVar[str] = "rnc"
    summary: ClassVar[str] = "Rank-N-Contrast: similarity falls in the order of label distance"
    projects: ClassVar[bool] = False

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        return rnc(features, label, temperature=self.config.temperature)


class YAwareConfig(ContrastConfig):
    """Y-aware InfoNCE (spec section 7)."""

    sigma: float = Field(2.0, gt=0, description="σ of the Gaussian over scaled labels", json_schema_extra={"sweep": {"low": 0.5, "high": 10.0, "log": True}})  # fmt: skip
    variant: Literal["yaware", "exp", "official"] = Field(
        "yaware", description="weights by rows; the exponential form; the repository's form"
    )


class YAware(SupCon):
    """Positives are weighted by a Gaussian of the label distance."""

    Config: ClassVar[type[MethodConfig]] = YAwareConfig
    config: YAwareConfig
    name: ClassVar[str] = "yaware"
    summary: ClassVar[str] = "InfoNCE with positives weighted by label nearness"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        c = self.config
        return yaware(self._model.project(features), label, sigma=c.sigma, temperature=c.temperature, variant=c.variant)


class AdaConConfig(TwoStageConfig):
    """Adaptive contrast (spec section 7)."""

    logit_scale: float = Field(150.0, gt=0, description="multiplies cosine plus margin")
    norm: float = Field(0.2, ge=0, description="margin a unit of the labels' distribution function in percent")


class AdaCon(SupCon):
    """Supervised contrast whose margin is the distance of labels in their empirical distribution."""

    Config: ClassVar[type[MethodConfig]] = AdaConConfig
    config: AdaConConfig  # type: ignore[assignment]
    name: ClassVar[str] = "adacon"
    summary: ClassVar[str] = "supervised contrast with a margin that grows with label distance"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        train = self.scaled(ctx.view.labels()).sort().values
        rank = torch.searchsorted(train, label.cpu().contiguous(), right=True).to(label.device)
        cdf = 100 * rank / len(train)
        return adacon(self._model.project(features), label, cdf, scale=self.config.logit_scale, norm=self.config.norm)
