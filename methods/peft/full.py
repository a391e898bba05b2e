"""Full fine-tuning: every weight of the encoder is trained."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ..networks.tuners import Full
from .tuning import Tuning, TuningConfig, rate


class FullConfig(TuningConfig):
    """A smaller learning rate than that of few parameters."""

    lr: float = Field(3e-5, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-5, 3e-4))
    head_lr: float | None = Field(1e-3, gt=0, le=1, description="of the head; null: that of the encoder")


class FullTuning(Tuning):
    """Every weight of the encoder is trained; the state holds all of it."""

    Config: ClassVar[type[TuningConfig]] = FullConfig
    name: ClassVar[str] = "full"
    summary: ClassVar[str] = "every weight of the encoder is trained"

    def tuner_of(self, net: Any) -> Full:
        return Full(net)


METHOD = FullTuning
