"""DoLa (Chuang et al. 2024): the last layer against an early one, picked at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, UnfitError
from ..losses.contrast import icd_scores
from ..losses.divergence import js_divergence
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig


def picked(final: Tensor, early: dict[int, Tensor], form: Literal["official", "textbook"]) -> Tensor:
    """Of each row the logits [B, V] of the early layer that is farthest from the last in Jensen-Shannon divergence."""
    layers = sorted(early)
    kind: Literal["reversed", "textbook"] = "reversed" if form == "official" else "textbook"
    far = torch.stack([js_divergence(final, early[layer], kind) for layer in layers]).argmax(0)
    return torch.stack([early[layer] for layer in layers])[far, torch.arange(len(final), device=final.device)]


class DolaConfig(DecoderConfig):
    """As all decoders; layers are counted from 0 (the embeddings) to L - 1."""

    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the last layer; null: none")
    layers: tuple[int, ...] = Field((), description="candidates; empty: all below the last")
    js: Literal["official", "textbook"] = Field(
        "official", description="divergence that picks: the public code's (arguments reversed), or the textbook's"
    )


class Dola(Decoder):
    """``log p_L - log p_l`` over plausible tokens, eq. 4; l is picked for each row and step. One pass."""

    Config: ClassVar[type[MethodConfig]] = DolaConfig
    config: DolaConfig
    name = "dola"
    summary = "the last layer, away from the early layer that differs most"

    def main(self, batch: Batch) -> Branch:
        top = self._model.layers
        layers = self.config.layers or tuple(range(top))
        if not all(0 <= layer < top for layer in layers):
            raise UnfitError(f"layers of dola must lie in 0..{top - 1} of this model, not {list(layers)}")
        return self.branch(batch, "prompt", layers=layers)

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return icd_scores(main.logits, picked(main.logits, main.early, self.config.js), beta)


METHOD = Dola
