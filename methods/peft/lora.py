"""LoRA: an update of low rank beside the query and value projections (arXiv 2106.09685)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ..networks.adapters import LowRank
from .tuning import Tuning, TuningConfig, rate


class LoRAConfig(TuningConfig):
    """Rank, scale and where the update is."""

    lr: float = Field(5e-4, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-4, 5e-3))
    rank: int = Field(8, ge=1, description="r", json_schema_extra={"sweep": {"choices": [4, 8, 16]}})
    alpha: float = Field(16, gt=0, description="α: the update is scaled by α/r")
    root: bool = Field(False, description="rsLoRA: by α/√r")
    adapter_dropout: float = Field(0.1, ge=0, lt=1, description="of what goes into the update")
    targets: Literal["attention", "all"] = Field("attention", description="query and value, or every linear layer")


class LoRA(Tuning):
    """The encoder is frozen; B A of rank r is trained beside each chosen projection, B = 0 at first."""

    Config: ClassVar[type[TuningConfig]] = LoRAConfig
    config: LoRAConfig
    name: ClassVar[str] = "lora"
    summary: ClassVar[str] = "LoRA: trained updates of low rank"
    form: ClassVar[Literal["lora", "dora", "vera"]] = "lora"

    def tuner_of(self, net: Any) -> LowRank:
        config = self.config
        return LowRank(
            net,
            self.form,
            rank=config.rank,
            alpha=config.alpha,
            dropout=config.adapter_dropout,
            root=config.root,
            targets=config.targets,
        )


METHOD = LoRA
