"""Deep prefixes through an MLP while they are trained (prefix tuning, Li and Liang 2021, section 4.3)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ..networks.prefix import PrefixTuner
from .prefix import Prefix, PrefixConfig
from .tuning import TuningConfig, rate


class PrefixMLPConfig(PrefixConfig):
    """The MLP takes learning rates of 1e-4 to 5e-4."""

    lr: float = Field(3e-4, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-4, 5e-3))
    inner: int = Field(512, ge=1, description="width of the MLP")


class PrefixMLP(Prefix):
    """A table [n, H] through Linear, tanh, Linear; what is saved for peft is its result."""

    Config: ClassVar[type[TuningConfig]] = PrefixMLPConfig
    config: PrefixMLPConfig
    name: ClassVar[str] = "prefix_mlp"
    summary: ClassVar[str] = "deep prefixes through an MLP"

    def tuner_of(self, net: Any) -> PrefixTuner:
        config = self.config
        return PrefixTuner(
            net, length=config.length, inner=config.inner, deviation=config.init_std, dropout=config.prefix_dropout
        )


METHOD = PrefixMLP
