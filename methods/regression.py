"""Scalar regressors end to end, and what every regression method shares: label scales, the head, replay and two-stage training.

Source: the plain regressors of the SupReMix paper (spec sections 4, 5 and 7). A model of these methods offers ``inputs``, ``view``,
``encode``, ``project`` and ``d_features`` (:mod:`holdfast.methods.networks.regression`).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ..datasets.batches import Batch, ExperienceView, derive, generator
from .base import Method, MethodConfig, OptimizerSpec, Stage, StepContext, UnfitError, protocol
from .memory import memory_rows, random_selection
from .rehearsal import Memory

CONSTANT = 1e-4  # a feature that varies less over the training rows is taken as it is: dividing by that would blow up other rows
RARE = 0.1  # and none is divided by less than this share of the mean deviation: one that few rows activate would blow up others too
Loss = Literal["l1", "mse", "huber", "focal_l1", "focal_mse"]


class RegressionConfig(MethodConfig):
    """Fields of every regression method."""

    loss: Loss = Field("l1", description="loss of the regressor on standardised labels")
    epochs: int | None = Field(None, ge=1, description="epochs in all; null: the recipe's and second_epochs")
    second_epochs: int = Field(
        0,
        ge=0,
        le=100_000,
        description="epochs beside the recipe's, so that a regressor end to end gets the budget of both stages of the contrasts",
        json_schema_extra=protocol(),
    )
    augment: bool = Field(
        True,
        description="train on a random view of each row, as the contrasts do; false: on the row itself",
        json_schema_extra=protocol(),
    )
    label_scale: float | Literal["percent"] = Field(
        1.0,
        description="labels are multiplied by it before windows, weights and bins; percent: the training range becomes 0 to 100",
        json_schema_extra=protocol(),
    )
    memory_size: float = Field(
        0.0,
        ge=0,
        description="rows kept for replay in later experiences, as a share of the training set if below 1, else their number",
        json_schema_extra=protocol(),
    )


def pointwise(prediction: Tensor, label: Tensor, kind: Loss) -> Tensor:
    """Loss of each row, [B]: |e|, e², Huber's (δ = 1), and the focal ones |e| (2σ(0.2|e|) - 1) and e² (2σ(0.2|e|) - 1) (spec section 7)."""
    e = (prediction.float() - label.float()).abs()
    if kind == "huber":
        return F.huber_loss(prediction.float(), label.float(), reduction="none")
    power = e if kind.endswith("l1") else e.square()
    return power * (2 * torch.sigmoid(0.2 * e) - 1) if kind.startswith("focal") else power


class Regressor(Method):
    """End to end: the loss between the head's output and the standardised label."""

    Config: ClassVar[type[MethodConfig]] = RegressionConfig
    config: RegressionConfig
    name: ClassVar[str] = "l1"
    summary: ClassVar[str] = "end-to-end regression with the L1 loss"
    costs: ClassVar[dict[str, str]] = {"memory_rows": "rows held in memory"}
    center: Tensor
    spread: Tensor
    lowest: Tensor
    scale: Tensor
    ready: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: RegressionConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        d = self._model.d_features
        with torch.random.fork_rng(devices=[]):  # the head must not move the generator of dropout
            torch.manual_seed(derive(seed, "head"))
            self.head = nn.Linear(d, 1)
        self.store = Memory()
        for name, value in (("center", 0.0), ("spread", 1.0), ("lowest", 0.0), ("scale", 1.0)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        self.register_buffer("ready", torch.tensor(False))
        self.register_buffer("feature_mean", torch.zeros(d))
        self.register_buffer("feature_std", torch.ones(d))

    # -- labels ----------------------------------------------------------------------------------------------------

    def before_experience(self, view: ExperienceView) -> None:
        """Label statistics of the first experience. Raises UnfitError for labels that cannot be learnt from."""
        label = view.labels().double()
        if not bool(label.isfinite().all()):
            raise UnfitError("the training labels hold NaN or infinities")
        if bool(self.ready):
            return
        low, high = label.min(), label.max()
        if low == high:
            raise UnfitError(
                f"all training labels of the first experience are {float(low):g}: there is nothing to learn"
            )
        self.center.copy_(label.mean())
        self.spread.copy_(label.std(unbiased=False))
        if self.config.label_scale == "percent":
            self.lowest.copy_(low)
            self.scale.copy_(100 / (high - low))
        else:
            self.scale.fill_(self.config.label_scale)
        with torch.no_grad():
            self.head.bias.fill_(float((label.median() - label.mean()) / self.spread))  # spec section 12
        self.ready.fill_(True)

    def standardised(self, label: Tensor) -> Tensor:
        """Labels with mean 0 and deviation 1, float32."""
        return ((label.double() - self.center) / self.spread).float()

    def scaled(self, label: Tensor) -> Tensor:
        """Labels in the units of windows, weights and bins (``label_scale``), float64."""
        return (label.double() - self.lowest) * self.scale

    # -- the step --------------------------------------------------------------------------------------------------

    def input(self, batch: Batch, ctx: StepContext) -> Batch:
        """A view of the batch, or the batch itself."""
        made: Batch = self._model.view(batch, ctx.augment) if self.config.augment else self._model.inputs(batch)
        return made

    def views(self, batch: Batch, ctx: StepContext, count: int) -> Tensor:
        """Features [V·N, d] of ``count`` views of a batch, all first views first.

        One forward pass: batch norm sees all views at once (spec section 3, step 3).
        """
        views = [self._model.view(batch, ctx.augment) for _ in range(count)]
        features: Tensor = self._model.encode({name: torch.cat([v[name] for v in views]) for name in views[0]})
        return features

    def read(self, features: Tensor) -> Tensor:
        """The head's standardised prediction, [B]."""
        out: Tensor = self.head((features - self.feature_mean) / self.feature_std)
        return out[:, 0].float()

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return int(config.epochs or epochs + config.second_epochs)

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage(epochs=self.config.epochs, more=self.config.second_epochs)]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        prediction = self.read(self._model.encode(self.input(batch, ctx)))
        return {"loss": pointwise(prediction, self.standardised(batch["label"]), self.config.loss).mean()}

    @property
    def projected(self) -> bool:
        """Whether the projector was trained with the encoder as it stands; then its output is measured too."""
        return False

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        features = self._model.encode(self._model.inputs(batch))
        value = self.read(features).double() * self.spread + self.center
        found = {"value": value, "embedding": features.float()}
        return {**found, "projection": self._model.project(features).float()} if self.projected else found

    # -- replay ----------------------------------------------------------------------------------------------------

    def memory(self) -> Tensor:
        return self.store.all()

    def after_experience(self, view: ExperienceView) -> None:
        """Keep an equal random share of |M| of every experience so far."""
        share = memory_rows(self.config.memory_size, view.n_train) // view.n_experiences
        if share < 1:
            return
        order = generator(self.seed, f"memory/{view.experience}")
        self.store.rows[view.experience, 0] = view.index[
            torch.as_tensor(random_selection(len(view.index), min(share, len(view.index)), order))
        ]

    def cost(self) -> dict[str, float]:
        return {"memory_rows": float(len(self.memory()))} if len(self.memory()) else {}


class MSEConfig(RegressionConfig):
    """The squared error instead."""

    loss: Loss = Field("mse", description="loss of the regressor on standardised labels")


class MSE(Regressor):
    """End to end with the squared error."""

    Config: ClassVar[type[MethodConfig]] = MSEConfig
    name: ClassVar[str] = "mse"
    summary: ClassVar[str] = "end-to-end regression with the squared error"


class TwoStageConfig(RegressionConfig):
    """Fields of pre-training and of the regressor after it (spec section 4)."""

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
    """Pre-train encoder and projector with :meth:`contrast`, drop the projector, train the head (and the encoder) on labels."""

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
        step = "probe_step" if c.second == "probe" else "finetune_step"
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
        return {"loss": pointwise(self.read(features), label, self.config.loss).mean()}
