"""The head alone: a linear layer over features of the frozen encoder, which are worked out once an experience."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...datasets.core.view import ExperienceView
from ..base import Stage
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

    def __init__(self, config: HeadConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self._key: tuple[int, int] | None = None  # whose features there are: experience, rows of its memory
        self._cache: dict[str, Tensor] = {}

    def tuner_of(self, net: Any) -> Head:
        return Head(net)

    def before_stage(self, stage: Stage, view: ExperienceView) -> None:
        if self.config.cached:
            self.features_of(view)

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
        if self._key != key:
            model = self._model
            rows = torch.cat([view.index, view.memory])
            training = self.training
            self.eval()
            z = torch.cat([model.encode(batch) for batch in view.batches(rows)])
            self.train(training)
            made = z.new_zeros(view.n_rows, *z.shape[1:])
            made[rows.to(z.device)] = z
            self._key, self._cache = key, {"z": made}
        return self._cache["z"]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """``to(device)`` moves the features too."""
        self._cache = {name: fn(value) for name, value in self._cache.items()}
        return super()._apply(fn, recurse)


METHOD = HeadTuning
