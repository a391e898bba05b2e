"""LQCD (arXiv 2408.11261): the neutral query against the leading one."""

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


class LqcdConfig(DecoderConfig):
    """As all decoders; α and β are those of VCD, since the paper's are not public (our reading)."""

    alpha: float = Field(
        1.0, ge=0, description="α of the contrast", json_schema_extra={"sweep": {"low": 0.0, "high": 2.0}}
    )
    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the neutral query; null: none")


class Lqcd(Decoder):
    """``(1 + α) z(neutral) - α z(leading)``. A query that is neutral already is answered plainly, the mask apart."""

    Config: ClassVar[type[MethodConfig]] = LqcdConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "neutral")
    )
    config: LqcdConfig
    name = "lqcd"
    summary = "leading-query contrastive decoding: the neutral query, away from the leading one"

    def main(self, batch: Batch) -> Branch:
        return self.branch(batch, "neutral")

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(batch, "prompt")]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return cad_scores(main.logits, others[0].logits, self.config.alpha, beta)


METHOD = Lqcd
