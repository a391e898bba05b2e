"""The head alone: a linear layer over features of the frozen encoder, which are worked out once an experience."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ...datasets.core.view import ExperienceView
from ..networks.tuners import Head
from .objective import Encode
from .tuning import Tuning, TuningConfig, rate


class HeadConfig(TuningConfig):
    """Features are those of evaluation mode; Mixup is that of sentences."""

    lr: float = Field(1e-2, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-3, 1e-1))
    cached: bool = Field(
        True, description="features once an experience, in evaluation mode; else in every step, with dropout"
    )

    @model_validator(mode="after")
    def _inside(self) -> HeadConfig:
        if self.cached and self.mixup in ("embedding", "hidden"):
            raise ValueError("mixup inside the encoder changes its features: cached: false, or mixup: sentence")
        return self


class HeadTuning(Tuning):
    """The encoder is frozen and nothing but the linear layer is trained."""

    Config: ClassVar[type[TuningConfig]] = HeadConfig
    config: HeadConfig
    name: ClassVar[str] = "head"
    summary: ClassVar[str] = "a linear head over the frozen encoder"
    _kept: tuple[tuple[int, int], Tensor] | None = None  # features of the newest experience

    def tuner_of(self, net: Any) -> Head:
        return Head(net)

    def encoding(self, view: ExperienceView) -> Encode:
        if not self.config.cached:
            return super().encoding(view)
        features = self.features_of(view)
        return lambda batch, mix: features[batch["index"].to(features.device)]

    @torch.no_grad()
    def features_of(self, view: ExperienceView) -> Tensor:
        """z [rows of the training table, A, H] of the rows of an experience and its memory; zeros elsewhere.

        Batches are those of the view's own order, so that a run that is resumed finds the same numbers.
        """
        key = (view.experience, len(view.memory))
        if self._kept is None or self._kept[0] != key:
            model = self._model
            rows = torch.cat([view.index, view.memory])
            training = self.training
            self.eval()
            parts = [model.encode(batch) for batch in view.batches(rows)]
            self.train(training)
            z = torch.cat(parts)
            made = z.new_zeros(view.n_rows, *z.shape[1:])
            made[rows.to(z.device)] = z
            self._kept = (key, made)
        return self._kept[1]


METHOD = HeadTuning
