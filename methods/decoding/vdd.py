"""VDD (arXiv 2403.05262): the picture against none, or against an unknown one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.contrast import vdd_scores
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig
from .pictures import Without, blind_batches


class VddConfig(DecoderConfig):
    """As all decoders, with the values of the public scripts."""

    alpha: float = Field(
        1.0, ge=0, description="α of the contrast", json_schema_extra={"sweep": {"low": 0.0, "high": 2.0}}
    )
    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the picture; null: none")
    without: Without = Field("none", description="none: no picture; unk: a grey one; none_unk: the mean of both logits")


class Vdd(Decoder):
    """``(1 + α) z(v) - α z̄``, z̄ the mean logits without the picture."""

    Config: ClassVar[type[MethodConfig]] = VddConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "image")
    )
    config: VddConfig
    name = "vdd"
    summary = "debiased decoding: the picture, away from what is said without it"

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(part, "prompt") for part in blind_batches(batch, self.config.without)]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return vdd_scores(main.logits, [other.logits for other in others], self.config.alpha, beta)


METHOD = Vdd
