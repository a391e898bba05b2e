"""P-tuning v2: n trained keys and values before those of the text, in every layer (arXiv 2110.07602)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import StepContext
from ..networks.prefix import PrefixTuner
from .tuning import Tuning, TuningConfig, rate


class PrefixConfig(TuningConfig):
    """The prefix's length, how it begins, its dropout; learning rates of 5e-3 to 3e-2 where fine-tuning takes 2e-5."""

    lr: float = Field(1e-2, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-3, 5e-2))
    length: int = Field(8, ge=1, le=512, description="n", json_schema_extra={"sweep": {"choices": [4, 8, 16, 32]}})
    init_std: float = Field(1.0, gt=0, description="standard deviation of the table at first; the released code has 1")
    prefix_dropout: float = Field(0.1, ge=0, lt=1, description="of keys and values of the prefix")


class Prefix(Tuning):
    """The encoder is frozen; a table of n 2 L H numbers is trained. Logs the table's norm as ``prefix/norm``."""

    Config: ClassVar[type[TuningConfig]] = PrefixConfig
    config: PrefixConfig
    name: ClassVar[str] = "prefix"
    summary: ClassVar[str] = "deep prefixes (P-tuning v2): trained keys and values in every layer"

    def tuner_of(self, net: Any) -> PrefixTuner:
        config = self.config
        return PrefixTuner(net, length=config.length, deviation=config.init_std, dropout=config.prefix_dropout)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        step: Any = super().training_step(batch, ctx)
        return {**step, "prefix/norm": self._model.tuner.encoder.table.detach().norm()}


METHOD = Prefix
