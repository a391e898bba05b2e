"""AdaCAD (arXiv 2409.07394): CAD whose strength is the divergence of both distributions, at every step anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.contrast import cad_scores
from ..losses.divergence import js_divergence
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig


class AdaCadConfig(DecoderConfig):
    """As all decoders, and the least strength."""

    least: float = Field(0.0, ge=0, le=1, description="J is at least this: 0 for questions, 0.3 for long texts")
    log_base: Literal["e", "2"] = Field("e", description="of J: e is published (J <= 0.693); 2 reaches 1 (ours)")


class AdaCad(Decoder):
    """``(1 + J) z(prompt) - J z(neutral)``, J the Jensen-Shannon divergence of both, of each row and step.

    Where both agree J is 0 and the model is left alone. No nucleus filter: that of the public code, meant to be off,
    removes tokens in float32 (docs/methods/decoding.md).
    """

    Config: ClassVar[type[MethodConfig]] = AdaCadConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "neutral")
    )
    config: AdaCadConfig
    name = "adacad"
    summary = "context-aware decoding with the step's divergence as strength"

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(batch, "neutral")]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        free = others[0].logits
        strength = js_divergence(main.logits, free, base=2 if self.config.log_base == "2" else math.e)
        return cad_scores(main.logits, free, strength.clamp(min=self.config.least), beta)


METHOD = AdaCad
