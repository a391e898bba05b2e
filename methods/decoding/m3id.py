"""M3ID (Favero et al. 2024): the longer the text, the more the picture counts against the language alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.contrast import m3id_scores
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig
from .pictures import blind_batches


class M3idConfig(DecoderConfig):
    """As all decoders, with the mask of the public code."""

    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the picture; null: none")


class M3id(Decoder):
    """``z(v) / γ_t + (1 - 1/γ_t) z(no picture)``, γ_t = exp(-0.02 t): the first token is uncontrasted."""

    Config: ClassVar[type[MethodConfig]] = M3idConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "image")
    )
    config: M3idConfig
    name = "m3id"
    summary = "the picture against no picture, more with every token"

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(part, "prompt") for part in blind_batches(batch, "none")]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return m3id_scores(main.logits, others[0].logits, step, beta)


METHOD = M3id
