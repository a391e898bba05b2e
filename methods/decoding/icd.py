"""ICD (Zhang et al. 2024): the model against a copy that was trained on falsehoods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.contrast import icd_scores
from ..networks.branches import Branch
from .amateurs import Tuned, TunedConfig


class IcdConfig(TunedConfig):
    """As all decoders, with the mask of the public code."""

    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the model itself; null: none")


class Icd(Tuned):
    """``log p - log p_amateur`` over plausible tokens; the amateur is the model with adapters trained on the texts
    ``false``.
    """

    PART = "false"
    Config: ClassVar[type[MethodConfig]] = IcdConfig
    config: IcdConfig
    name = "icd"
    summary = "induce-then-contrast: the model, away from a copy trained on falsehoods"

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(batch, "prompt", model=self.copy.module)]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return icd_scores(main.logits, others[0].logits, beta)


METHOD = Icd
