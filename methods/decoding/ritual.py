"""RITUAL (arXiv 2405.17821): the logits of a changed picture are added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.contrast import plausible, ritual_scores
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig
from .pictures import VIEWS, View, embedded, pixels, views


class RitualConfig(DecoderConfig):
    """As all decoders, with the values of the public code, which samples at temperature 1."""

    sample: bool = Field(True, description="draw tokens; false: always the best")
    alpha: float = Field(
        3.0, ge=0, description="α, weight of the view", json_schema_extra={"sweep": {"low": 0.0, "high": 5.0}}
    )
    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the picture itself; null: none")
    views: tuple[View, ...] = Field(
        VIEWS, min_length=1, description="changes of the picture, of which each question draws one"
    )
    combine: Literal["logits", "probabilities"] = Field(
        "logits", description="what is added: logits (the public code), or probabilities (the project's page)"
    )


class Ritual(Decoder):
    """``z(v) + α z(T(v))`` over what is plausible by v alone; T is drawn once a row, by its id.

    α sharpens: with a T that changes nothing the result is sampling at temperature 1 / (1 + α), which is the control.
    """

    Config: ClassVar[type[MethodConfig]] = RitualConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "image")
    )
    config: RitualConfig
    name = "ritual"
    summary = "adds the logits of a randomly changed picture"

    def branches(self, batch: Batch) -> list[Branch]:
        x = views(pixels(batch), batch["index"], self.config.views, self.draw_seed)
        return [self.branch(batch, "prompt", embedded(self._model, x))]

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        alpha, view = self.config.alpha, others[0].logits
        if self.config.combine == "logits":
            return ritual_scores(main.logits, view, alpha, beta)
        mixed = (main.logits.float().softmax(-1) + alpha * view.float().softmax(-1)) / (1 + alpha)
        return mixed.log().masked_fill(~plausible(main.logits, beta), -math.inf)


METHOD = Ritual
