"""What methods of one width that are told a preference share: draws, and the calibration of every preference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.preferences import EVALUATED, simplex
from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, Update, protocol
from ..networks.slimmable_widths import output_name
from .multi_task import MultiTask, MultiTaskConfig, named, priced


class PreferringConfig(MultiTaskConfig):
    """How preferences are drawn and how many are evaluated."""

    concentration: float = Field(
        0.2,
        gt=0,
        le=100,
        description="training: a preference a step from Dirichlet(concentration, ...); small: near the corners",
        json_schema_extra={"sweep": {"low": 0.1, "high": 5.0, "log": True}},
    )
    preferences: int = Field(
        EVALUATED, ge=0, le=EVALUATED, description="preferences that are evaluated", json_schema_extra=protocol()
    )


class Preferring(MultiTask):
    """A network that answers under a preference r: :meth:`answer`. The preference of the mean, all tasks alike, is that
    of ``task/NAME``.
    """

    Config: ClassVar[type[PreferringConfig]] = PreferringConfig
    config: PreferringConfig
    distils: ClassVar[bool] = False

    def __init__(self, config: PreferringConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.calibrated: dict[str, Any] = {}  # preference's number -> statistics of the network

    def get_extra_state(self) -> dict[str, Any]:
        return {"calibrated": self.calibrated}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.calibrated = dict(state["calibrated"])

    def answer(self, x: Tensor, preference: Tensor) -> dict[str, Tensor]:
        """Outputs of all tasks under r [N]."""
        raise NotImplementedError

    def criterion(self, losses: Tensor, preference: Tensor) -> Tensor:
        """The loss [] of the tasks' losses [N] under r [N]."""
        raise NotImplementedError

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        x = self._model.pixels(batch)
        r = self.drawn(ctx.iteration).to(x.device)
        losses = self.weighted(self.answer(x, r), batch)
        yield Update(self.criterion(torch.stack([loss.float() for loss in losses.values()]), r), logs=named(losses))

    def drawn(self, iteration: int) -> Tensor:
        """A preference [N] from (seed, iteration) alone."""
        seed = int(torch.randint(2**31, (), generator=generator(self.seed, f"preference/{iteration}")))
        return torch.from_numpy(simplex(len(self.tasks), 1, seed, self.config.concentration)[0]).float()

    def alike(self) -> Tensor:
        return torch.full((len(self.tasks),), 1 / len(self.tasks))

    def evaluated_preferences(self) -> dict[str, Tensor]:
        """By the suffix of their predictions."""
        found = {"": self.alike()}
        for number, r in enumerate(simplex(len(self.tasks))[: self.config.preferences]):
            found[f"@p{number}"] = torch.from_numpy(r).float()
        return found

    def before_epoch(self, ctx: StepContext) -> None:
        super().before_epoch(ctx)
        self.calibrated = {}

    def _calibrate(self, view: ExperienceView, suffixes: list[str]) -> None:
        """Statistics under each preference: they depend on it, as what the layers see does."""
        batches, preferences = self.calibration(view), self.evaluated_preferences()
        for suffix in suffixes:
            r = preferences[suffix]
            self._model.forget_statistics()
            self.calibrate_under(batches, r)
            self.calibrated[suffix] = self._model.statistics()

    def calibrate_under(self, batches: list[Tensor], preference: Tensor) -> None:
        """Calibrate the network as it answers under r."""
        raise NotImplementedError

    def after_epoch(self, ctx: StepContext) -> None:
        self._calibrate(ctx.view, [""])

    def after_experience(self, view: ExperienceView) -> None:
        self._calibrate(view, list(self.evaluated_preferences()))
        self.remember(view)

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        x, found = self._model.pixels(batch), priced(self.price(), len(batch["image"]))
        kept = self._model.statistics()
        for suffix, r in self.evaluated_preferences().items():
            if suffix and suffix not in self.calibrated:
                continue  # within training: only equal preferences are calibrated
            if suffix in self.calibrated:
                self._model.set_statistics(_on(self.calibrated[suffix], x.device))
            for task, y in self.answer(x, r.to(x.device)).items():
                found[f"{output_name(task)}{suffix}"] = y.float()
        self._model.set_statistics(kept)
        return found


def _on(statistics: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: {key: value.to(device) for key, value in each.items()} for name, each in statistics.items()}
