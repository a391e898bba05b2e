"""Sampling from the plain model: at temperature 1, or at the temperature that a rule hides (control)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..base import MethodConfig
from .decoder import Decoder, DecoderConfig


class SamplingConfig(DecoderConfig):
    """As all decoders; tokens are drawn."""

    sample: bool = Field(True, description="draw tokens; false: always the best")


class Sampling(Decoder):
    """Tokens drawn from softmax(z / T). RITUAL with a view that changes nothing is T = 1 / (1 + α)."""

    Config: ClassVar[type[MethodConfig]] = SamplingConfig
    name = "sampling"
    summary = "tokens drawn from the model, at a temperature (control)"


METHOD = Sampling
