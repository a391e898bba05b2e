"""What the methods of multi-task learning share: losses, balancing, calibration, sequences of tasks, predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.multi_task import Task
from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, StepContext, UnfitError, Update, protocol
from ..networks.protocols import Requires, SlimmableMultiTask
from ..networks.slimmable_cost import Cost, Costs
from ..networks.slimmable_widths import Configuration, Size, output_name
from .balance import Balance, Kind
from .sequence import Previous, SequenceConfig, TaskMemory, labelled_rows
from .tasks import task_losses


class MultiTaskConfig(SequenceConfig):
    """Balancing of tasks, calibration, and what is kept of earlier tasks."""

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
    costs: ClassVar[dict[str, str]] = {
        "memory_rows": "rows held in memory",
        "teacher_passes": "images that the network before saw",
    }
    distils: ClassVar[bool] = True  # whether its steps can learn from the network before

    def __init__(self, config: MultiTaskConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        if config.previous_kd and not self.distils:
            raise UnfitError(f"methods.{self.name}.previous_kd: {self.name} learns from no network before: set it to 0")
        self.balance = Balance(config.balance, self._model.tasks, config.gradnorm_alpha, config.gradnorm_rate)
        self.store = TaskMemory(config.memory_rows, len(self.tasks)) if config.memory_rows else None
        self.previous = Previous(model, config) if config.previous_kd else None
        self.active: tuple[str, ...] = self._model.tasks  # tasks that the experience or the memory has labels of
        self._experience: int | None = None  # that ``active`` is of
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
        if self.store is not None:
            self.store.check()

    # -- training --------------------------------------------------------------------------------------------------

    def begin(self, view: ExperienceView) -> None:
        """Find the tasks in training, once an experience: a decoder that has no label to learn from stands still."""
        if self._experience != view.experience:
            rows = torch.cat([view.index, view.memory.to(view.index.device)])
            found = [t.name for t in self.tasks if any(len(part) for part in labelled_rows(view, t, rows))]
            self.active, self._experience = tuple(found) or self._model.tasks, view.experience

    def outputs(
        self,
        x: Tensor,
        configuration: Configuration,
        features: Sequence[Tensor] | None = None,
        only: Collection[str] | None = None,
    ) -> dict[str, Tensor]:
        """Outputs at a configuration by task, of all or of ``only`` some; ``features``: those of its encoder where they
        are known.
        """
        model = self._model
        found = model.features(x, configuration.encoder) if features is None else features
        pairs = zip(model.tasks, configuration.decoders, strict=True)
        size = size_of(x)
        return {
            task: model.decode(found, task, configuration.encoder, d, size)
            for task, d in pairs
            if only is None or task in only
        }

    def trained(self, x: Tensor, configuration: Configuration) -> tuple[list[Tensor], dict[str, Tensor]]:
        """A pass of training: features of the encoder, and outputs of the tasks in training (and of those that the
        network before is asked about).
        """
        features = self._model.features(x, configuration.encoder)
        asked = () if self.previous is None else self.previous.asks
        return features, self.outputs(x, configuration, features, {*self.active, *asked})

    def weighted(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Losses of the tasks in training by name, each multiplied by its fixed weight."""
        chosen = [task for task in self.tasks if task.name in self.active]
        losses = task_losses(chosen, outputs, batch)
        return {task.name: task.weight * losses[task.name] for task in chosen}

    def from_previous(
        self, x: Tensor, configuration: Configuration, features: Sequence[Tensor], outputs: dict[str, Tensor]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """What a pass learns from the network of the experience before, weighted, and what is logged; None: nothing."""
        if self.previous is None:
            return None, {}
        distance = self.previous.distance(x, configuration, self.widest, features, outputs, self.tasks)
        if distance is None:
            return None, {}
        return self.config.previous_kd * distance, {"previous_kd": distance}

    def shared(self) -> list[nn.Parameter]:
        """The parameters that tasks have in common."""
        return [parameter for parameter in self._model.encoder.parameters() if parameter.requires_grad]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        self.begin(ctx.view)
        x = self._model.pixels(batch)
        features, outputs = self.trained(x, self.widest)
        losses = self.weighted(outputs, batch)
        extra, logs = self.from_previous(x, self.widest, features, outputs)
        yield self.balance.update(losses, self.shared(), extra=extra, logs={**named(losses), **logs})

    def before_epoch(self, ctx: StepContext) -> None:
        self._model.forget_statistics()  # they are of weights that are about to change

    # -- evaluation ------------------------------------------------------------------------------------------------

    def evaluated(self) -> list[Configuration]:
        """Configurations that ``predict`` gives after an experience, the widest aside."""
        return []

    def calibration(self, view: ExperienceView) -> list[Tensor]:
        """Batches of training images of the experience and the memory, drawn from (seed, experience) alone."""
        rows, size = torch.cat([view.index, view.memory.to(view.index.device)]), self.config.calibration_rows
        order = torch.randperm(len(rows), generator=generator(self.seed, f"calibration/{view.experience}"))
        chosen = rows[order[: size * self.config.calibration_batches].to(rows.device)]
        parts = [part for part in chosen.split(size) if len(part) > 1 or len(chosen) == 1]
        return [self._model.pixels(view.gather(part)) for part in parts]

    def after_epoch(self, ctx: StepContext) -> None:
        self._model.calibrate(self.calibration(ctx.view), [self.widest])

    def after_experience(self, view: ExperienceView) -> None:
        self.begin(view)  # resumed after the last step, nothing has looked yet
        self._model.calibrate(self.calibration(view), [self.widest, *self.evaluated()])
        self.remember(view)

    def remember(self, view: ExperienceView) -> None:
        """Keep rows and the network for the experiences that follow."""
        if self.store is None and self.previous is None:
            return
        each = {k: torch.cat(list(labelled_rows(view, task, view.index))) for k, task in enumerate(self.tasks)}
        labelled = {k: rows for k, rows in each.items() if len(rows)}
        if self.store is not None:
            self.store.keep(view, labelled, self.seed)
        if self.previous is not None:
            self.previous.take([self.tasks[k].name for k in labelled])

    def memory(self) -> Tensor:
        return super().memory() if self.store is None else self.store.all()

    def cost(self) -> dict[str, float]:
        found = {} if self.store is None else {"memory_rows": float(len(self.memory()))}
        return found if self.previous is None else {**found, "teacher_passes": float(self.previous.passes)}

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


def summed(*parts: Tensor | None) -> Tensor | None:
    """The sum of those losses that there are; None: there is none."""
    found = [part for part in parts if part is not None]
    return sum(found[1:], start=found[0]) if found else None


def priced(cost: Cost, rows: int, at: str = "") -> dict[str, Tensor]:
    """A cost as the evaluator reads it: ``macs`` and ``parameters`` [rows], with ``at`` behind their names."""
    each = {"macs": cost.macs, "parameters": cost.parameters}
    return {f"{name}{at}": torch.full((rows,), float(value), dtype=torch.float64) for name, value in each.items()}


def size_of(x: Tensor) -> Size:
    return x.shape[-2], x.shape[-1]
