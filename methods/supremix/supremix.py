"""SupReMix ("Mixup Your Own Pairs", arXiv 2309.16633).

Pre-train the encoder with a contrast of two views of a batch, then train a regressor on its features
(:class:`TwoStage`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ..base import MethodConfig, StepContext
from ..losses.supremix import Weight, supremix
from .two_stage import TwoStage, TwoStageConfig


class SupReMixConfig(TwoStageConfig):
    """Fields of the loss; defaults are those of the official script."""

    temperature: float = Field(
        0.3, gt=0, le=10, description="τ", json_schema_extra={"sweep": {"low": 0.05, "high": 1.0, "log": True}}
    )
    window: float = Field(
        5.0,
        gt=0,
        description="n, how far in label the two sides of a mixed positive may lie, in scaled labels",
        json_schema_extra={"sweep": {"low": 2.0, "high": 15.0}},
    )
    beta_a: float = Field(
        2.0,
        gt=0,
        le=100,
        description="λ ~ Beta(a, b), the anchor's share of a mixed negative",
        json_schema_extra={"sweep": {"choices": [2.0, 5.0, 8.0]}},
    )
    beta_b: float = Field(8.0, gt=0, le=100, description="b", json_schema_extra={"sweep": {"choices": [8.0, 5.0, 2.0]}})
    weight: Weight = Field(
        "L1_inv",
        description="distance magnifying: weight of a negative",
        json_schema_extra={"sweep": {"choices": ["L1_inv", "L2_inv", "none"]}},
    )
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
            z,
            label[:n],
            temperature=c.temperature,
            window=c.window,
            mix_neg=c.mix_neg,
            mix_pos=c.mix_pos,
            weight=c.weight,
            beta_a=c.beta_a,
            beta_b=c.beta_b,
            generator=ctx.augment,
            pool=c.pool if n >= c.pool else 1,
            detach_mixtures=c.detach_mixtures,
            renormalise_mixtures=c.renormalise_mixtures,
            logit_shift=c.logit_shift,
            max_triples_per_anchor=c.max_triples_per_anchor,
        )


METHOD = SupReMix
