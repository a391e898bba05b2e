"""Prompt tuning: n trained vectors before the word embeddings (arXiv 2104.08691)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ..networks.adapters import Prompt
from .tuning import Tuning, TuningConfig, rate


class PromptConfig(TuningConfig):
    """The prompt's length."""

    lr: float = Field(1e-2, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-3, 1e-1))
    length: int = Field(8, ge=1, le=512, description="n", json_schema_extra={"sweep": {"choices": [4, 8, 16, 32]}})


class PromptTuning(Tuning):
    """The encoder is frozen; n vectors of the word embeddings' width are trained."""

    Config: ClassVar[type[TuningConfig]] = PromptConfig
    config: PromptConfig
    name: ClassVar[str] = "prompt"
    summary: ClassVar[str] = "prompt tuning: trained vectors before the words"

    def tuner_of(self, net: Any) -> Prompt:
        return Prompt(net, length=self.config.length)


METHOD = PromptTuning
