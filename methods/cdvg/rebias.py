"""ReBias: independence from a network of small reach, by HSIC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, MethodConfig, OptimizerSpec, Stage, StepContext, Update
from ..losses.hsic import hsic
from ..networks.protocols import Classifier, Requires


class RebiasConfig(MethodConfig):
    """Fields of ReBias."""

    lambda_f: float = Field(
        1.0,
        ge=0,
        description="weight of HSIC in the main network's loss (minimised); HSIC itself is of the order of 0.002",
        json_schema_extra={"sweep": {"low": 1.0, "high": 1000.0, "log": True}},
    )
    lambda_g: float = Field(1.0, ge=0, description="weight of HSIC in the biased network's loss (maximised)")
    scale: float = Field(1.0, gt=0, description="width of the Gaussian kernels, in units of √d")
    width: int = Field(32, ge=2, le=1024, description="channels of the biased network")
    lr: float = Field(1e-3, gt=0, le=1, description="Adam, both networks")


class Rebias(Method[Classifier]):
    """f: CE + λ HSIC(f, sg g); g, whose convolutions are 1x1: CE - λ HSIC(sg f, g) (Bahng et al., ICML 2020)."""

    Config: ClassVar[type[RebiasConfig]] = RebiasConfig
    config: RebiasConfig
    name: ClassVar[str] = "rebias"
    summary: ClassVar[str] = "independence (HSIC) of a network that sees single pixels"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: RebiasConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        w = config.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "rebias"))
            self.local = nn.Sequential(
                nn.Conv2d(3, w, 1), nn.ReLU(), nn.Conv2d(w, w, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            )
            self.local_head = nn.Linear(w, self._model.classes)

    def stages(self, view: ExperienceView) -> list[Stage]:
        arguments = {"lr": self.config.lr}
        local = [*self.local.parameters(), *self.local_head.parameters()]
        return [
            Stage(
                optimizers={
                    "main": OptimizerSpec(list(self.model.parameters()), "Adam", arguments),
                    "local": OptimizerSpec(local, "Adam", arguments),
                }
            )
        ]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        h = self._model.encode(x)  # one forward: g's step leaves f as it is
        g = self.local(x)
        against = c.lambda_g * hsic(h.detach(), g, scale=c.scale)
        yield Update(F.cross_entropy(self.local_head(g), labels) - against, "local")
        with torch.no_grad():
            g = self.local(x)
        independence = hsic(h, g, scale=c.scale)
        loss = F.cross_entropy(self._model.classify(h), labels) + c.lambda_f * independence
        yield Update(loss, "main", logs={"loss/hsic": independence})


METHOD = Rebias
