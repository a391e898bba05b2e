"""VCD (Leng et al. 2024): the picture against a noised one."""

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
from .pictures import embedded, noised_for, pixels


class VcdConfig(DecoderConfig):
    """As all decoders, with the values of the public code."""

    alpha: float = Field(
        1.0, ge=0, description="α of the contrast", json_schema_extra={"sweep": {"low": 0.0, "high": 2.0}}
    )
    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the true picture; null: none")
    noise_step: int = Field(500, ge=0, le=999, description="step of the diffusion whose noise is added, of 1000")


class Vcd(Decoder):
    """``(1 + α) z(v) - α z(noised v)``, eq. 3; each branch has a cache of its own."""

    Config: ClassVar[type[MethodConfig]] = VcdConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "image")
    )
    config: VcdConfig
    name = "vcd"
    summary = "visual contrastive decoding: the picture, away from a noised one"

    def branches(self, batch: Batch) -> list[Branch]:
        x = noised_for(self._model, pixels(batch), batch["index"], self.config.noise_step, self.draw_seed)
        return [self.branch(batch, "prompt", embedded(self._model, x))]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return cad_scores(main.logits, others[0].logits, self.config.alpha, beta)


METHOD = Vcd
