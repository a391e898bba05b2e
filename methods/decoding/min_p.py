"""Min-p sampling with p = β: the plausibility mask of the contrasts without any contrast (control)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..base import MethodConfig
from .decoder import Decoder, DecoderConfig


class MinPConfig(DecoderConfig):
    """As all decoders; tokens are drawn among those above β of the best."""

    sample: bool = Field(True, description="draw tokens; false: always the best")
    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β = p of min-p")


class MinP(Decoder):
    """Tokens drawn from the model among those of at least β times the best one's probability (Nguyen et al. 2025)."""

    Config: ClassVar[type[MethodConfig]] = MinPConfig
    name = "min_p"
    summary = "sampling among plausible tokens alone: the mask without a contrast (control)"


METHOD = MinP
