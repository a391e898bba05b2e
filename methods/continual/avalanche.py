"""Any strategy of Avalanche under a recipe: its own loop, plugins and buffers; our data, evaluation, journal and
checkpoints.

Source: Avalanche, arXiv 2104.00405. Which strategies run, and how each is adapted: docs/methods/continual.md.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import Method, MethodConfig, StepContext
from ..networks.protocols import Classifier, Requires


class AvalancheConfig(MethodConfig):
    """Which strategy, and what it is given beside what a recipe says for every method."""

    strategy: str = Field("Naive", description="a class of avalanche.training, by name")
    arguments: dict[str, Any] = Field(
        {},
        description="its other arguments; model, optimizer, batch sizes, epochs and device are the recipe's",
    )


class Avalanche(Method[Classifier]):
    """The network that a strategy of Avalanche trains, and how it answers; the training is
    ``methods/training/avalanche_native.py``.

    ``kept``: what a strategy answers by beside the weights. ``means`` [C, H]: the class with the nearest mean of
    normalised features (iCaRL; zeros: a class without rows); ``scale``, ``shift`` [C]: corrected logits (BiC).
    """

    Config: ClassVar[type[AvalancheConfig]] = AvalancheConfig
    config: AvalancheConfig
    name: ClassVar[str] = "avalanche"
    summary: ClassVar[str] = "a strategy of Avalanche, by name"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))
    trainer: ClassVar[Literal["strategy", "estimator", "avalanche"]] = "avalanche"

    def __init__(self, config: AvalancheConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.kept: dict[str, Tensor] = {}

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        raise NotImplementedError("a strategy of Avalanche has a loop of its own")

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``label`` [B], ``scores`` and ``probabilities`` [B, C], as the model's own."""
        features = self._model.encode(self._model.pixels(batch))
        kept = {name: value.to(features.device) for name, value in self.kept.items()}
        if "means" in kept:
            scores = -torch.cdist(F.normalize(features, dim=1), kept["means"])
        else:
            scores = self._model.classify(features)
            if "scale" in kept:
                scores = scores * kept["scale"] + kept["shift"]
        exact = scores.float()
        return {"label": scores.argmax(1), "scores": exact, "probabilities": exact.softmax(1)}

    def get_extra_state(self) -> dict[str, Tensor]:
        return self.kept

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.kept = dict(state)


METHOD = Avalanche
