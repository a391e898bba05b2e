"""Universally slimmable networks' in-place distillation of outputs, for several tasks (Yu and Huang, ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ..networks.slimmable_widths import Configuration
from .sandwich import Distilling, SandwichConfig


class UsnetKdConfig(SandwichConfig):
    """Weight of the distillation."""

    weight: float = Field(
        1.0,
        gt=0,
        description="weight of the distance to the widest outputs, which is added to the tasks' losses",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )


class UsnetKd(Distilling):
    """Slim passes learn the widest pass's outputs: soft cross-entropy of classes, L1 of everything else."""

    Config: ClassVar[type[UsnetKdConfig]] = UsnetKdConfig
    config: UsnetKdConfig
    name: ClassVar[str] = "usnet_kd"
    summary: ClassVar[str] = "slimmable multi-task network with in-place distillation of outputs"

    def distillation(
        self,
        configuration: Configuration,
        features: Sequence[Tensor],
        outputs: dict[str, Tensor],
        teacher: Sequence[Tensor],
        answers: dict[str, Tensor],
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        loss = self.of_outputs(outputs, answers)
        return self.config.weight * loss, {"output_kd": loss}


METHOD = UsnetKd
