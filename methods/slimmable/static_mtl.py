"""One multi-task network of fixed width: Σ_i r_i ω_i L_i, trained anew for each preference r."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.table import Batch
from ..base import UnfitError
from ..networks.slimmable_search import check_preference
from .multi_task import MultiTask, MultiTaskConfig


class StaticMtlConfig(MultiTaskConfig):
    """The preference that it is trained for."""

    preference: tuple[float, ...] | None = Field(
        None, description="r: one number a task, scaled to the mean 1; null: all tasks alike"
    )


class StaticMtl(MultiTask):
    """Shared encoder, one decoder a task, full width."""

    Config: ClassVar[type[StaticMtlConfig]] = StaticMtlConfig
    config: StaticMtlConfig
    name: ClassVar[str] = "static_mtl"
    summary: ClassVar[str] = "multi-task network of one width, for one preference"

    def __init__(self, config: StaticMtlConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        n = len(self.tasks)
        try:
            r = check_preference(config.preference or (1.0,) * n, n)
        except ValueError as error:
            raise UnfitError(f"methods.static_mtl.preference: {error}") from error
        self.factors = {task.name: n * value / sum(r) for task, value in zip(self.tasks, r, strict=True)}

    def weighted(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {task: self.factors[task] * loss for task, loss in super().weighted(outputs, batch).items()}


METHOD = StaticMtl
