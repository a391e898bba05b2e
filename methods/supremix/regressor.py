"""Scalar regressors end to end, and what every regression method shares: label scales, the head and replay.

Source: the plain regressors of the SupReMix paper. A model of these methods offers ``inputs``, ``view``,
``encode``, ``project`` and ``d_features`` (:mod:`holdfast.methods.networks.regression`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive, generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, MethodConfig, Stage, StepContext, UnfitError, protocol
from ..continual.memory import Memory, MemoryConfig, random_selection
from ..networks import protocols

CONSTANT = 1e-4
"""Features that vary less over the training rows are not standardised: the division would blow up other rows."""

RARE = 0.1
"""No feature is divided by less than this share of the mean deviation: one that few rows activate would blow up too."""

Loss = Literal["l1", "mse", "huber", "focal_l1", "focal_mse"]


class RegressionConfig(MemoryConfig):
    """Fields of every regression method."""

    loss: Loss = Field("l1", description="loss of the regressor on standardised labels")
    epochs: int | None = Field(None, ge=1, description="epochs in all; null: the recipe's and second_epochs")
    second_epochs: int = Field(
        0,
        ge=0,
        le=100_000,
        description=(
            "epochs beside the recipe's, so that a regressor end to end gets the budget of both stages of the contrasts"
        ),
        json_schema_extra=protocol(),
    )
    augment: bool = Field(
        True,
        description="train on a random view of each row, as the contrasts do; false: on the row itself",
        json_schema_extra=protocol(),
    )
    label_scale: Annotated[float, Field(gt=0, le=1e9)] | Literal["percent"] = Field(
        1.0,
        description=(
            "labels are multiplied by it before windows, weights and bins; percent: the training range becomes 0 to 100"
        ),
        json_schema_extra=protocol(),
    )
    memory_share: float | None = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "rows kept for replay in later experiences, as a share of the training rows; null: memory_rows says it"
        ),
        json_schema_extra=protocol(),
    )


def pointwise(prediction: Tensor, label: Tensor, kind: Loss) -> Tensor:
    """Loss of each row, [B]: |e|, e², Huber's (δ = 1), and the focal |e| (2σ(0.2|e|) - 1) and e² (2σ(0.2|e|) - 1)."""
    e = (prediction.float() - label.float()).abs()
    if kind == "huber":
        return F.huber_loss(prediction.float(), label.float(), reduction="none")
    power = e if kind.endswith("l1") else e.square()
    return power * (2 * torch.sigmoid(0.2 * e) - 1) if kind.startswith("focal") else power


class Regressor(Method[protocols.Regressor]):
    """End to end: the loss between the head's output and the standardised label."""

    Config: ClassVar[type[MethodConfig]] = RegressionConfig
    config: RegressionConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(model=protocols.Regressor, columns=("label",))
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
        center, spread = label.mean(), label.std(unbiased=False)
        if not (bool(center.isfinite()) and 0 < spread < torch.inf):
            found = f"{float(low):g} to {float(high):g}"
            raise UnfitError(f"the training labels ({found}) have no finite mean and deviation")
        self.center.copy_(center)
        self.spread.copy_(spread)
        if self.config.label_scale == "percent":
            self.lowest.copy_(low)
            self.scale.copy_(100 / (high - low))
        else:
            self.scale.fill_(self.config.label_scale)
        with torch.no_grad():
            self.head.bias.fill_(float((label.median() - label.mean()) / self.spread))  # l1's constant optimum
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

        One forward pass: batch norm sees all views at once.
        """
        views = [self._model.view(batch, ctx.augment) for _ in range(count)]
        features: Tensor = self._model.encode({name: torch.cat([v[name] for v in views]) for name in views[0]})
        return features

    def standardised_prediction(self, features: Tensor) -> Tensor:
        """The head's standardised prediction, [B]."""
        out: Tensor = self.head((features - self.feature_mean) / self.feature_std)
        return out[:, 0].float()

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return int(config.epochs or epochs + config.second_epochs)

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage(epochs=self.config.epochs, more=self.config.second_epochs)]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        prediction = self.standardised_prediction(self._model.encode(self.input(batch, ctx)))
        return {"loss": pointwise(prediction, self.standardised(batch["label"]), self.config.loss).mean()}

    @property
    def projected(self) -> bool:
        """Whether the projector was trained with the encoder as it stands; then its output is measured too."""
        return False

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        features = self._model.encode(self._model.inputs(batch))
        value = self.standardised_prediction(features).double() * self.spread + self.center
        prediction = {"value": value, "embedding": features.float()}
        if self.projected:
            prediction["projection"] = self._model.project(features).float()
        return prediction

    # -- replay ----------------------------------------------------------------------------------------------------

    def memory(self) -> Tensor:
        return self.store.all()

    def after_experience(self, view: ExperienceView) -> None:
        """Keep an equal random share of |M| of every experience so far."""
        share = self.config.rows(view.n_train) // view.n_experiences
        if share < 1:
            return
        rng = generator(self.seed, f"memory/{view.experience}")
        self.store.rows[view.experience, 0] = view.index[
            torch.as_tensor(random_selection(len(view.index), min(share, len(view.index)), rng))
        ]

    def cost(self) -> dict[str, float]:
        return {"memory_rows": float(len(self.memory()))} if len(self.memory()) else {}
