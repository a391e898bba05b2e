"""GDumb: keep a balanced memory, and train on it alone, from scratch.

Source: Prabhu, Torr, Dokania, GDumb: a simple approach that questions our progress in continual learning, ECCV 2020.
Our readings are on the page docs/methods/continual.md.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, protocol
from ..networks.protocols import Classifier, Requires
from .er import ER, RehearsalConfig


class GDumbConfig(RehearsalConfig):
    """The memory of experience replay, over the classes seen so far."""

    fixed_memory: bool = Field(
        False,
        description="quota per class = |M| / all classes from the start; else / seen classes",
        json_schema_extra=protocol(),
    )


class GDumb(ER[Classifier]):
    """At the beginning of an experience its rows enter the memory, |M| shared by the classes seen so far; the model
    gets new weights and every step is CE on a batch drawn from the memory.

    There are as many steps as experience replay makes (an epoch goes once through D_n and M, and as many batches are
    drawn), so that methods are compared at equal updates.
    """

    Config: ClassVar[type[GDumbConfig]] = GDumbConfig
    training_on: Tensor
    name: ClassVar[str] = "gdumb"
    summary: ClassVar[str] = "training from scratch on a balanced memory alone (GDumb)"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: RehearsalConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.register_buffer("training_on", torch.tensor(-1))  # the experience in training; -1: between two

    def memory(self) -> Tensor:
        """The rows of earlier experiences: those of the one in training are its own until it ends."""
        now = int(self.training_on)
        rows = self.store.all()
        new = [held for (e, _), held in self.store.rows.items() if e == now]
        return rows[~torch.isin(rows, torch.cat(new))] if new else rows

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        super().after_experience(view)  # the choice of rows, now
        self.training_on.fill_(view.experience)
        fresh: nn.Module = self._model.twin(self.seed, f"gdumb/{view.experience}")
        self.model.load_state_dict(fresh.state_dict())

    def after_experience(self, view: ExperienceView) -> None:
        """The memory was chosen before training."""
        self.training_on.fill_(-1)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        memory = self.store.all()
        order = torch.randperm(len(memory), generator=generator(self.seed, f"gdumb/{ctx.iteration}"))
        drawn = ctx.view.gather(memory[order[: ctx.view.batch_size]])
        x = self._model.pixels(self._model.augment(drawn, ctx.augment))
        return {"loss": F.cross_entropy(self._model.classify(self._model.encode(x)).float(), drawn["label"])}


METHOD = GDumb
