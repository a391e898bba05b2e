"""BiasCon with the true bias labels: an oracle."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ..base import Method, MethodConfig, StepContext, protocol
from ..losses.biascon import biascon
from ..networks.protocols import Classifier, Requires
from .views import Projection


class BiasConConfig(MethodConfig):
    """Fields of BiasCon."""

    temperature: float = Field(
        0.1, gt=0, le=10, description="τ", json_schema_extra={"sweep": {"low": 0.05, "high": 0.5, "log": True}}
    )
    lambda_con: float = Field(1.0, ge=0, description="weight of the contrastive loss")
    projection: int = Field(
        64, ge=1, le=8192, description="width of the projection's output", json_schema_extra=protocol()
    )


class BiasConOracle(Method[Classifier]):
    """CE + λ BiasCon: positives share the class and differ in bias.

    An oracle: the column ``bias`` must not be hidden from training.
    """

    Config: ClassVar[type[BiasConConfig]] = BiasConConfig
    config: BiasConConfig
    name: ClassVar[str] = "biascon_oracle"
    summary: ClassVar[str] = "bias-contrastive learning (oracle: needs bias labels)"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label", "bias"))

    def __init__(self, config: BiasConConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "projections"))
            self.project = Projection(self._model.features_out, config.projection)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        h = self._model.encode(self._model.views(self._model.pixels(batch), ctx.augment))
        contrast = biascon(self.project(h), labels, batch["bias"], temperature=c.temperature)
        ce = F.cross_entropy(self._model.classify(h), labels)
        return {"loss": ce + c.lambda_con * contrast, "loss/ce": ce, "loss/contrast": contrast}


METHOD = BiasConOracle
