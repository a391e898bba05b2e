"""CAD (Shi et al. 2024): with the context, against without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.contrast import cad_scores
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig


class CadConfig(DecoderConfig):
    """As all decoders, and the strength of the contrast."""

    alpha: float = Field(
        1.0,
        ge=0,
        description="α: 1 for questions, 0.5 for summaries in the paper",
        json_schema_extra={"sweep": {"low": 0.0, "high": 2.0}},
    )


class Cad(Decoder):
    """``(1 + α) z(prompt) - α z(neutral)``, eq. 3. α = 0 is greedy search."""

    Config: ClassVar[type[MethodConfig]] = CadConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "neutral")
    )
    config: CadConfig
    name = "cad"
    summary = "context-aware decoding: the logits with the context, away from those without"

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(batch, "neutral")]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return cad_scores(main.logits, others[0].logits, self.config.alpha, beta)


METHOD = Cad
