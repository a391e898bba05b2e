"""A network of its own for each task: what multi-task results are compared with."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, cast

from torch import Tensor, nn

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, Update
from ..networks.protocols import SlimmableMultiTask
from ..networks.slimmable_cost import Cost
from ..networks.slimmable_widths import Configuration
from .multi_task import MultiTask, MultiTaskConfig, named, size_of


class SingleTask(MultiTask):
    """N copies of the model, of which each trains one task (ω_i L_i) at full width; they share nothing, so that no
    balancing of tasks matters.
    """

    name: ClassVar[str] = "single_task"
    distils: ClassVar[bool] = False
    summary: ClassVar[str] = "a network of its own for each task"

    def __init__(self, config: MultiTaskConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.others = nn.ModuleList(copy.deepcopy(model) for _ in self.tasks[1:])

    def _nets(self) -> Sequence[nn.Module]:
        return [self.model, *self.others]

    def outputs(
        self,
        x: Tensor,
        configuration: Configuration,
        features: Sequence[Tensor] | None = None,
        only: Collection[str] | None = None,
    ) -> dict[str, Tensor]:
        found = {}
        for net, task, d in zip(self._nets(), self.tasks, configuration.decoders, strict=True):
            if only is not None and task.name not in only:
                continue
            model = cast(SlimmableMultiTask, net)
            own = model.features(x, configuration.encoder)
            found[task.name] = model.decode(own, task.name, configuration.encoder, d, size_of(x))
        return found

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        self.begin(ctx.view)
        outputs = self.outputs(self._model.pixels(batch), self.widest, only=self.active)
        losses = self.weighted(outputs, batch)
        head, *others = losses.values()
        yield Update(sum(others, start=head), logs=named(losses))

    def _each(self, view: ExperienceView) -> Iterator[tuple[SlimmableMultiTask, bool]]:
        """Every network, and whether its task is in training; one that is not stays as it is."""
        self.begin(view)
        for net, task in zip(self._nets(), self.tasks, strict=True):
            yield cast(SlimmableMultiTask, net), task.name in self.active

    def before_epoch(self, ctx: StepContext) -> None:
        for net, moves in self._each(ctx.view):
            if moves:
                net.forget_statistics()

    def _calibrate(self, view: ExperienceView) -> None:
        batches = self.calibration(view)
        for net, moves in self._each(view):
            if moves or not net.statistics():  # its task is still to come
                net.calibrate(batches, [self.widest])

    def after_epoch(self, ctx: StepContext) -> None:
        self._calibrate(ctx.view)

    def after_experience(self, view: ExperienceView) -> None:
        self._calibrate(view)
        self.remember(view)

    def price(self) -> Cost:
        encoder, decoders = self.pricing().parts(self.widest)
        return sum((encoder + decoder for decoder in decoders.values()), start=Cost())


METHOD = SingleTask
