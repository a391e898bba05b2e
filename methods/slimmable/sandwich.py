"""What the slimmable methods share: predictions over the grid, a table of scores, and the sandwich rule with an
in-place teacher (Yu and Huang, Universally slimmable networks, ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.preferences import simplex
from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, UnfitError, Update, protocol
from ..losses import ci_kd
from ..networks.slimmable_search import BudgetError, overall, search
from ..networks.slimmable_widths import Configuration, key_of, output_name
from .multi_task import MultiTask, MultiTaskConfig, named, priced, summed
from .tasks import distilled, task_losses


class SlimConfig(MultiTaskConfig):
    """What is predicted after training."""

    evaluate: Literal["full", "common", "grid"] = Field(
        "grid",
        description="widths that are evaluated: full; common: encoder and decoders alike, at each width of the grid; "
        "grid: every pair of encoder and decoder width, and the configurations that preferences choose",
        json_schema_extra=protocol(),
    )
    budget: float = Field(
        0.5,
        gt=0,
        le=1,
        description="grid: share of the whole network's MACs within which a preference is answered",
        json_schema_extra=protocol(),
    )
    score_rows: int = Field(
        256,
        ge=1,
        le=100_000,
        description="grid: training rows on which the losses of all pairs of widths are compared",
        json_schema_extra=protocol(),
    )


class Slimmable(MultiTask):
    """A method whose network is evaluated at many widths.

    After an experience it knows the losses of every pair of widths on training rows (``scores``), which cover every
    configuration, and with them the configuration for a preference within the budget.
    """

    Config: ClassVar[type[SlimConfig]] = SlimConfig
    config: SlimConfig
    controllable: ClassVar[bool] = True  # whether a preference changes what it answers

    def __init__(self, config: SlimConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.scores: dict[str, float] = {}  # "task/NAME@e0.25d0.5" -> loss
        self.last_scores: dict[str, float] = {}  # of each task those of the last experience that had labels of it
        self._chosen: list[Configuration] | None = None  # of each preference; made anew when needed

    def get_extra_state(self) -> dict[str, Any]:
        return {"scores": self.scores, "last_scores": self.last_scores}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.scores, self._chosen = dict(state["scores"]), None
        self.last_scores = dict(state.get("last_scores", self.scores))

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        if self.config.evaluate == "grid" and self.controllable:  # known before anything is trained
            least, most = (self.pricing().whole(each).macs for each in (self.narrowest, self.widest))
            if least > self.config.budget * most:
                error = BudgetError(self.config.budget * most, least, most)
                raise UnfitError(f"methods.{self.name}.budget={self.config.budget:g}: {error}")

    @property
    def narrowest(self) -> Configuration:
        first = self._model.grid[0]
        return Configuration(first, (first,) * len(self.tasks))

    def evaluated(self) -> list[Configuration]:
        grid, n = self._model.grid, len(self.tasks)
        if self.config.evaluate == "full":
            return []
        if self.config.evaluate == "common":
            return [Configuration(w, (w,) * n) for w in grid]
        return [Configuration(e, (d,) * n) for e in grid for d in grid]

    def before_epoch(self, ctx: StepContext) -> None:
        super().before_epoch(ctx)
        self.scores, self._chosen = {}, None

    def after_experience(self, view: ExperienceView) -> None:
        super().after_experience(view)
        self._chosen = None
        self.last_scores = {**self.last_scores, **self._scored(view)}
        self.scores = dict(self.last_scores)

    @torch.no_grad()
    def _scored(self, view: ExperienceView) -> dict[str, float]:
        """Loss of each task in training at each evaluated pair of widths, on rows drawn from (seed, experience) alone,
        and on those of the memory.
        """
        order = torch.randperm(len(view.index), generator=generator(self.seed, f"scores/{view.experience}"))
        rows = view.index[order[: self.config.score_rows].to(view.index.device)]
        rows = torch.cat([rows, view.memory.to(rows.device)])
        training, sums = self.training, dict[str, float]()
        chosen = [task for task in self.tasks if task.name in self.active]
        self.eval()
        for part in rows.split(self.config.calibration_rows):
            batch = view.gather(part)
            x = self._model.pixels(batch)
            for configuration, outputs in self.passes_of(x, self.evaluated()):
                for task, loss in task_losses(chosen, outputs, batch).items():
                    d = configuration.decoders[0]
                    name = output_name(task, configuration.encoder, d)
                    sums[name] = sums.get(name, 0.0) + float(loss) * len(part) / len(rows)
        self.train(training)
        return sums

    def passes_of(
        self, x: Tensor, configurations: Sequence[Configuration]
    ) -> Iterator[tuple[Configuration, dict[str, Tensor]]]:
        """Outputs of each configuration; those of one encoder width that follow each other share its features."""
        width, features = None, list[Tensor]()
        for configuration in configurations:
            if configuration.encoder != width:
                width = configuration.encoder
                features = self._model.features(x, configuration.encoder)
            yield configuration, self.outputs(x, configuration, features)

    def preferred(self) -> list[Configuration]:
        """The configuration of each preference of the evaluation, within the budget. (the narrowest is among the
        candidates of every preference).
        """
        if self._chosen is None:
            costs, names = self.pricing(), self._model.tasks
            grid = self._model.grid
            # a task that has not arrived yet counts nothing
            table: dict[Any, float] = {
                (e, task, d): self.scores.get(output_name(task, e, d), 0.0)
                for e in grid
                for d in grid
                for task in names
            }
            score = overall(table, names, dict.fromkeys(names, False))
            budget = self.config.budget * costs.whole(self.widest).macs
            self._chosen = [
                search(r, budget, grid, lambda c: costs.whole(c).macs, score).configuration
                for r in simplex(len(names)).tolist()
            ]
        return self._chosen

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        x, n, costs = self._model.pixels(batch), len(batch["image"]), self.pricing()
        names, found = self._model.tasks, priced(self.price(), len(batch["image"]))
        # within training there are no scores: only the whole network is calibrated
        every = self.evaluated() if self.scores else []
        for configuration, outputs in self.passes_of(x, every or [self.widest]):
            d = configuration.decoders[0]
            for task, y in outputs.items():
                found[output_name(task, configuration.encoder, d)] = y.float()
            found |= priced(costs.whole(configuration), n, f"@{key_of(configuration.encoder, d)}")
        for task in names:
            found[output_name(task)] = found[output_name(task, 1.0, 1.0)]
        if not every:
            return {name: value for name, value in found.items() if "@" not in name}
        if self.config.evaluate == "grid" and self.controllable:
            for number, configuration in enumerate(self.preferred()):
                for task, d in zip(names, configuration.decoders, strict=True):
                    found[f"{output_name(task)}@p{number}"] = found[output_name(task, configuration.encoder, d)]
                found |= priced(costs.whole(configuration), n, f"@p{number}")
        return found


class SandwichConfig(SlimConfig):
    """Configurations of a training step."""

    passes: int = Field(
        4,
        ge=2,
        le=32,
        description="configurations of a step: the widest, the narrowest, and others at random",
        json_schema_extra=protocol(),
    )
    continuous: bool = Field(
        False, description="widths at random from the whole range of the grid, not from its values alone"
    )


class Sandwich(Slimmable):
    """Trains the widest, the narrowest and random configurations in one step, their gradients summed."""

    Config: ClassVar[type[SandwichConfig]] = SandwichConfig
    config: SandwichConfig

    def __init__(self, config: SandwichConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        kind = getattr(getattr(model, "config", None), "norm", "")
        if config.continuous and kind == "switchable_bn":
            raise UnfitError("switchable_bn has statistics for the widths of the grid alone: continuous=false")

    def drawn(self, iteration: int) -> list[Configuration]:
        """The narrowest configuration and ``passes`` - 2 at random, from (seed, iteration) alone; the widest, which
        comes first, is not among them.
        """
        grid, n = self._model.grid, len(self.tasks)
        draws = generator(self.seed, f"widths/{iteration}")
        found = [Configuration(grid[0], (grid[0],) * n)]
        for _ in range(self.config.passes - 2):
            if self.config.continuous:
                widths = (grid[0] + (1 - grid[0]) * torch.rand(1 + n, generator=draws)).tolist()
            else:
                widths = [grid[k] for k in torch.randint(len(grid), (1 + n,), generator=draws).tolist()]
            found.append(self.drawn_form(widths))
        return found

    def drawn_form(self, widths: Sequence[float]) -> Configuration:
        """A configuration from 1 + N independent widths."""
        return Configuration(widths[0], tuple(widths[1:]))

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        self.begin(ctx.view)
        yield from self.passes(batch, self.drawn(ctx.iteration))

    def passes(self, batch: Batch, configurations: Sequence[Configuration]) -> Iterator[Update]:
        """One Update for the widest configuration, whose detached features and outputs teach the others, and one for
        each of ``configurations``; the optimizer moves after the last.
        """
        x = self._model.pixels(batch)
        features, outputs = self.trained(x, self.widest)
        losses = self.weighted(outputs, batch)
        teacher = [f.detach() for f in features]
        answers = {task: y.detach() for task, y in outputs.items()}
        extra, logs = self.from_previous(x, self.widest, features, outputs)
        step = not configurations
        yield self.balance.update(losses, self.shared(), extra=extra, step=step, logs={**named(losses), **logs})
        del features, outputs, losses, extra
        for number, configuration in enumerate(configurations, 1):
            features, outputs = self.trained(x, configuration)
            losses = self.weighted(outputs, batch)
            extra, logs = self.distillation(configuration, features, outputs, teacher, answers)
            held, more = self.from_previous(x, configuration, features, outputs)
            yield self.balance.update(
                losses,
                self.shared(),
                extra=summed(extra, held),
                widest=False,
                step=number == len(configurations),
                logs={**named(losses, "slim"), **logs, **more},
            )

    def distillation(
        self,
        configuration: Configuration,
        features: Sequence[Tensor],
        outputs: dict[str, Tensor],
        teacher: Sequence[Tensor],
        answers: dict[str, Tensor],
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """What a slim pass learns from the widest one of the batch, weighted, and what is logged; None: nothing."""
        return None, {}


class Distilling(Sandwich):
    """Base of what distils outputs in place, by the name of the loss in the journal."""

    def of_outputs(self, outputs: dict[str, Tensor], answers: dict[str, Tensor]) -> Tensor:
        return distilled([task for task in self.tasks if task.name in outputs], outputs, answers)

    @staticmethod
    def of_features(
        features: Sequence[Tensor], teacher: Sequence[Tensor], form: str, projections: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Mean over stages of :func:`~holdfast.methods.losses.ci_kd.ci_kd`."""
        each = [
            ci_kd(f, t, form, None if projections is None else projections[k])
            for k, (f, t) in enumerate(zip(features, teacher, strict=True))
        ]
        return torch.stack(each).mean()
