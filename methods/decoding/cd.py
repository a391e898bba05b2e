"""Contrastive decoding (Li et al. 2023): a model against a smaller one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig, UnfitError
from ..losses.contrast import cd_scores
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig
from .training import fit, part_rows


class CdConfig(DecoderConfig):
    """As all decoders, with the values of the public code."""

    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the larger model; null: none")
    tau: float = Field(
        0.5, gt=0, description="τ, temperature of the amateur", json_schema_extra={"sweep": {"low": 0.2, "high": 2.0}}
    )


class Cd(Decoder):
    """``log p_expert - log softmax(z_amateur / τ)`` over plausible tokens, eq. 3; the amateur is a smaller decoder,
    trained on the same texts for as long.
    """

    Config: ClassVar[type[MethodConfig]] = CdConfig
    config: CdConfig
    name = "cd"
    summary = "contrastive decoding: the model, away from a smaller one"

    def __init__(self, config: Any, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        if not hasattr(model, "smaller"):
            raise UnfitError("cd needs a smaller model of the same kind: model.name causal")
        self.amateur: Any = cast(Any, model).smaller(seed)

    def fit_rows(self, view: ExperienceView) -> None:
        super().fit_rows(view)
        rows = part_rows(view, "first", self._model.info)
        fit(self.amateur, view, rows, self.lm_training(), self.seed, "lm/amateur")

    def branches(self, batch: Batch) -> list[Branch]:
        return [self.branch(batch, "prompt", model=self.amateur)]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        return cd_scores(main.logits, others[0].logits, self.config.tau, beta)


METHOD = Cd
