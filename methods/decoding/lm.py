"""The language model itself, trained by the ordinary loop: its run is what ``model.weights`` of decoders names."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Stage, StepContext, StepResult
from .decoder import Decoder
from .training import trainable


class Lm(Decoder):
    """Cross-entropy of the first part of the texts by the recipe's ``train`` (no ``lm_*`` is used); greedy search."""

    trainer: ClassVar[Literal["strategy", "estimator", "avalanche"]] = "strategy"
    name = "lm"
    summary = "the language model, trained step by step; decoded greedily"

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return epochs

    def stages(self, view: ExperienceView) -> list[Stage]:
        trainable(self.model)  # or a message
        return [Stage()]

    def before_stage(self, stage: Stage, view: ExperienceView) -> None:
        self.fitted["draw_seed"] = torch.tensor(self.seed)

    def training_step(self, batch: Batch, ctx: StepContext) -> StepResult:
        rows = (batch["part"] == 0).nonzero().flatten() if "part" in batch else torch.arange(len(batch["index"]))
        if not len(rows):
            none: Tensor = sum(p.sum() * 0 for p in self.model.parameters())  # type: ignore[assignment]
            return {"loss": none}
        part = {name: value[rows] for name, value in batch.items()} if "part" in batch else batch
        loss, logs = self._model.loss(part)
        return {"loss": loss, **logs}


METHOD = Lm
