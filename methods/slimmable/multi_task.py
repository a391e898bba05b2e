"""What the methods of multi-task learning share: losses, balancing, calibration, preferences, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.multi_task import Task
from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, MethodConfig, StepContext, UnfitError, Update, protocol
from ..networks.protocols import Requires, SlimmableMultiTask
from ..networks.slimmable_cost import Cost, Costs
from ..networks.slimmable_widths import Configuration, Size, output_name
from .balance import Balance, Kind
from .tasks import task_losses


class MultiTaskConfig(MethodConfig):
    """Balancing of tasks, and calibration."""

    balance: Kind = Field(
        "equal",
        description="how tasks are weighed: equal (by their fixed weights), uncertainty, gradnorm, or an aggregator of "
        "their gradients on the encoder: upgrad, mgda, pcgrad, cagrad",
    )
    gradnorm_alpha: float = Field(1.5, ge=0, le=10, description="gradnorm: how strongly slow tasks are pulled up")
    gradnorm_rate: float = Field(0.025, gt=0, le=1, description="gradnorm: step size of the weights")
    calibration_batches: int = Field(
        5,
        ge=1,
        le=1000,
        description="us_bn: batches of training images for the statistics",
        json_schema_extra=protocol(),
    )
    calibration_rows: int = Field(64, ge=2, le=4096, description="rows of each", json_schema_extra=protocol())


class MultiTask(Method[SlimmableMultiTask]):
    """Base: trains the widest network on all tasks. ``predict`` gives the names that
    :class:`~holdfast.methods.networks.protocols.SlimmableMultiTask` lists.
    """

    Config: ClassVar[type[MultiTaskConfig]] = MultiTaskConfig
    config: MultiTaskConfig
    requires: ClassVar[Requires] = Requires(model=SlimmableMultiTask, columns=("image",), facts=("tasks",))

    def __init__(self, config: MultiTaskConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.balance = Balance(config.balance, self._model.tasks, config.gradnorm_alpha, config.gradnorm_rate)
        self._costs: Costs | None = None  # made when it is first asked for

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self._model.info.tasks

    @property
    def widest(self) -> Configuration:
        last = self._model.grid[-1]
        return Configuration(last, (last,) * len(self.tasks))

    def before_experience(self, view: ExperienceView) -> None:
        missing = [task.column for task in self.tasks if task.column not in view.columns]
        if missing:
            raise UnfitError(
                f"the training rows lack the column '{missing[0]}' of targets: data.hidden_from_training=[]"
            )

    # -- training --------------------------------------------------------------------------------------------------

    def outputs(
        self, x: Tensor, configuration: Configuration, features: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Outputs of all tasks at a configuration, by name; ``features``: those of its encoder where they are known."""
        model = self._model
        found = model.features(x, configuration.encoder) if features is None else features
        pairs = zip(model.tasks, configuration.decoders, strict=True)
        size = size_of(x)
        return {task: model.decode(found, task, configuration.encoder, d, size) for task, d in pairs}

    def weighted(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Losses of all tasks by name, each multiplied by its fixed weight."""
        losses = task_losses(self.tasks, outputs, batch)
        return {task.name: task.weight * losses[task.name] for task in self.tasks}

    def shared(self) -> list[nn.Parameter]:
        """The parameters that tasks have in common."""
        return [parameter for parameter in self._model.encoder.parameters() if parameter.requires_grad]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        losses = self.weighted(self.outputs(self._model.pixels(batch), self.widest), batch)
        yield self.balance.update(losses, self.shared(), logs=named(losses))

    def before_epoch(self, ctx: StepContext) -> None:
        self._model.forget_statistics()  # they are of weights that are about to change

    # -- evaluation ------------------------------------------------------------------------------------------------

    def evaluated(self) -> list[Configuration]:
        """Configurations that ``predict`` gives after an experience, the widest aside."""
        return []

    def calibration(self, view: ExperienceView) -> list[Tensor]:
        """Batches of training images, drawn from (seed, experience) alone."""
        rows, size = view.index, self.config.calibration_rows
        order = torch.randperm(len(rows), generator=generator(self.seed, f"calibration/{view.experience}"))
        chosen = rows[order[: size * self.config.calibration_batches].to(rows.device)]
        parts = [part for part in chosen.split(size) if len(part) > 1 or len(chosen) == 1]
        return [self._model.pixels(view.gather(part)) for part in parts]

    def after_epoch(self, ctx: StepContext) -> None:
        self._model.calibrate(self.calibration(ctx.view), [self.widest])

    def after_experience(self, view: ExperienceView) -> None:
        self._model.calibrate(self.calibration(view), [self.widest, *self.evaluated()])

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        outputs = self.outputs(self._model.pixels(batch), self.widest)
        whole = {output_name(task): y.float() for task, y in outputs.items()}
        return {**whole, **priced(self.price(), len(batch["image"]))}

    def pricing(self) -> Costs:
        """Costs of the network's configurations."""
        if self._costs is None:
            self._costs = Costs(self.model)  # type: ignore[arg-type]
        return self._costs

    def price(self) -> Cost:
        """What one image costs at full width."""
        return self.pricing().whole(self.widest)


def named(losses: dict[str, Tensor], prefix: str = "loss") -> dict[str, Tensor]:
    """Losses as the journal calls them."""
    return {f"{prefix}/{task}": loss for task, loss in losses.items()}


def priced(cost: Cost, rows: int, at: str = "") -> dict[str, Tensor]:
    """A cost as the evaluator reads it: ``macs`` and ``parameters`` [rows], with ``at`` behind their names."""
    each = {"macs": cost.macs, "parameters": cost.parameters}
    return {f"{name}{at}": torch.full((rows,), float(value), dtype=torch.float64) for name, value in each.items()}


def size_of(x: Tensor) -> Size:
    return x.shape[-2], x.shape[-1]
