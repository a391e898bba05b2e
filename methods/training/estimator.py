"""The trainer of methods without steps: fitted at once to the rows of an experience, or nothing to fit at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ...datasets.core.table import Batch, Table
from ...datasets.core.view import Sidecar
from ..base import Method, Stage
from . import sampler
from .settings import Observer, TrainingSettings


class Estimator:
    """Calls a method's hooks in the order of the loop, without optimizers, epochs and batches of training; a
    :class:`~.trainer.Trainer`.
    """

    between_steps = False

    def __init__(
        self,
        method: Method,
        *,
        settings: TrainingSettings,
        seed: int = 0,
        device: str | torch.device = "cpu",
        observer: Observer | None = None,
    ) -> None:
        self.method, self.settings, self.seed, self.observer = method, settings, seed, observer
        self.device = torch.device(device)
        self.sidecar = Sidecar()
        self.iteration = 0
        self.position = {"experience": 0, "stage": 0, "epoch": 0, "batch": 0}
        self.stages: list[Stage] = []

    def train(self, experience: Any, /) -> None:
        """Fit to the experience. Raises UnfitError where the method finds the data unfit, ValueError for a method that
        wants epochs.
        """
        self.method.to(self.device).train()
        view = sampler.view_of(
            experience,
            memory=self.method.memory().cpu(),
            batch_size=self.settings.batch_size,
            seed=self.seed,
            device=self.device,
            sidecar=self.sidecar,
        )
        self.method.before_experience(view)
        self.stages = self.method.stages(view)
        for number, stage in enumerate(self.stages):
            if stage.epochs != 0:
                raise ValueError(f"the stage '{stage.name}' of {type(self.method).__name__} has epochs: no estimator")
            self.position.update(experience=view.experience, stage=number)
            self.method.before_stage(stage, view)
            self.method.after_stage(stage, view)
            if self.observer is not None:
                self.observer.after_stage(self, stage)
        if self.observer is not None:
            self.observer.end_of_stages(self)
        self.method.after_experience(view)

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return self.method.predict(batch)

    def evaluation_batches(self, table: Table, rows: Tensor, skip: int = 0) -> Iterator[Batch]:
        loading = self.settings.loading
        return sampler.evaluation_batches(table, rows, self.settings.eval_batch_size, self.device, *loading, skip)

    def state_dict(self) -> dict[str, Any]:
        """What was fitted; nothing of it is half-way between two experiences."""
        return {
            "method": self.method.state_dict(),
            "sidecar": self.sidecar.state_dict(),
            "at": dict(self.position),
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, experience: Any = None) -> None:
        self.method.load_state_dict(state["method"])
        self.method.to(self.device)
        self.sidecar.load_state_dict(state["sidecar"])
        self.position = {name: state["at"][name] for name in self.position}  # one of a strategy holds more
        torch.set_rng_state(state["torch"])

    def course(self) -> list[tuple[str, int]]:
        return [(stage.name, 0) for stage in self.stages]

    def planned_steps(self, experience: Any) -> int:
        return 0

    def seconds_a_step(self, experience: Any) -> float:
        return 0.0
