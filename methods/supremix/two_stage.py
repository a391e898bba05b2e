"""Two-stage training: a contrast for the encoder, then a regressor on its features."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig, OptimizerSpec, Stage, StepContext, protocol
from .regressor import CONSTANT, RARE, RegressionConfig, Regressor, pointwise


class TwoStageConfig(RegressionConfig):
    """Fields of pre-training and of the regressor after it."""

    epochs: int | None = Field(
        None, ge=0, description="epochs of pre-training; null: the recipe's; 0: straight to the second stage"
    )

    second: Literal["probe", "finetune"] = Field(
        "probe",
        description="probe: a linear head on the frozen encoder; finetune: both are trained",
        json_schema_extra=protocol(),
    )
    second_epochs: int = Field(
        30, ge=1, le=100_000, description="epochs of the second stage", json_schema_extra=protocol()
    )
    second_lr: float = Field(
        0.01, gt=0, le=10, description="of probe: Adam's learning rate", json_schema_extra=protocol()
    )
    finetune_lr: float = Field(
        1e-3, gt=0, le=10, description="of finetune: Adam's learning rate", json_schema_extra=protocol()
    )
    standardise_features: bool = Field(
        True,
        description="of probe: features get mean 0 and deviation 1 over the training rows; one that hardly varies less",
        json_schema_extra=protocol(),
    )
    views: Literal[1, 2] = Field(2, description="V, views of a row in pre-training", json_schema_extra=protocol())


class TwoStage(Regressor):
    """Pre-train encoder and projector with :meth:`contrast`, then train the head (and the encoder) on labels."""

    Config: ClassVar[type[MethodConfig]] = TwoStageConfig
    config: TwoStageConfig
    name: ClassVar[str] = ""
    projects: ClassVar[bool] = True  # whether the contrast looks at the projector's output

    @property
    def projected(self) -> bool:
        """Not after fine-tuning, which moves the encoder alone, nor without pre-training."""
        return self.projects and self.config.second == "probe" and self.config.epochs != 0

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        """The pre-training loss of features [V·N, d], all first views first, and labels [N] in scaled units."""
        raise NotImplementedError(f"{type(self).__name__} must define contrast")

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return (epochs if config.epochs is None else config.epochs) + int(config.second_epochs)

    def stages(self, view: ExperienceView) -> list[Stage]:
        c = self.config
        trained = (
            [*self.head.parameters()]
            if c.second == "probe"
            else [*self.head.parameters(), *self._model.encoder.parameters()]
        )
        second = {"main": OptimizerSpec(trained, "Adam", {"lr": c.second_lr if c.second == "probe" else c.finetune_lr})}
        step = self.probe_step if c.second == "probe" else self.finetune_step
        return [Stage("pretrain", c.epochs), Stage(c.second, c.second_epochs, second, step)]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        features = self.views(batch, ctx, self.config.views)  # [V·N, d]
        return {"loss": self.contrast(features, self.scaled(batch["label"]), ctx)}

    def before_stage(self, stage: Stage, view: ExperienceView) -> None:
        """Feature statistics for the probe, over this experience and the memory."""
        self.feature_mean.zero_()
        self.feature_std.fill_(1)
        if stage.name != "probe" or not self.config.standardise_features:
            return
        self.eval()
        rows = torch.cat([view.index, self.memory()])
        with torch.no_grad():
            f = torch.cat([self._model.encode(self._model.inputs(b)).float() for b in view.batches(rows)])
        self.feature_mean.copy_(f.mean(0))
        std = f.std(0, unbiased=False)
        self.feature_std.copy_(torch.where(std < CONSTANT, 1.0, std.maximum(RARE * std.mean())))

    def probe_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        self._model.encoder.eval()
        with torch.no_grad():
            features = self._model.encode(self._model.inputs(batch))
        return self._second(features, batch)

    def finetune_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return self._second(self._model.encode(self.input(batch, ctx)), batch)

    def _second(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        label = self.standardised(batch["label"])
        return {"loss": pointwise(self.standardised_prediction(features), label, self.config.loss).mean()}
