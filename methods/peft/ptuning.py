"""P-tuning: a prompt through an MLP (arXiv 2103.10385; the MLP of the library peft, not the paper's LSTM)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ..networks.adapters import Prompt
from .prompt import PromptConfig, PromptTuning
from .tuning import TuningConfig, rate


class PTuningConfig(PromptConfig):
    """The prompt's length and the width of its MLP."""

    lr: float = Field(1e-3, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-4, 1e-2))
    inner: int = Field(128, ge=1, description="width of the MLP")


class PTuning(PromptTuning):
    """n vectors through Linear, ReLU, Linear, ReLU, Linear."""

    Config: ClassVar[type[TuningConfig]] = PTuningConfig
    config: PTuningConfig
    name: ClassVar[str] = "ptuning"
    summary: ClassVar[str] = "P-tuning: a prompt through an MLP"

    def tuner_of(self, net: Any) -> Prompt:
        return Prompt(net, length=self.config.length, inner=self.config.inner)


METHOD = PTuning
