"""Tasks one after another: rows of earlier ones that are replayed, and distillation from the network before."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.multi_task import Task
from ...datasets.core.seeds import generator
from ...datasets.core.view import ExperienceView
from ..base import FrozenCopy, MethodConfig, UnfitError, protocol
from ..continual.memory import Memory, quotas, random_selection, shares
from ..losses import ci_kd
from ..networks.protocols import SlimmableMultiTask
from ..networks.slimmable_statistics import normalising_by_batch
from ..networks.slimmable_widths import Configuration
from .tasks import distilled

ROWS = 256  # whose labels are looked at together: maps may be larger than the memory


class SequenceConfig(MethodConfig):
    """What is kept of earlier experiences: rows, and the network."""

    memory_rows: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="tasks in sequence: rows of earlier tasks that are replayed, in equal parts; 0: none",
        json_schema_extra=protocol(),
    )
    previous_kd: float = Field(
        0.0,
        ge=0,
        description="tasks in sequence: weight of the distillation from the network of the experience before; 0: none",
        json_schema_extra={"sweep": {"low": 0.1, "high": 100.0, "log": True}},
    )
    previous_form: Literal["slice_mse", "slice_l1", "slice_cos", "attention", "similarity", "outputs"] = Field(
        "slice_mse",
        description="previous_kd: how the encoder's last feature is compared (a form of CI-KD), or outputs: those of "
        "earlier tasks instead",
    )
    previous_width: Literal["same", "widest"] = Field(
        "same", description="previous_kd: width of the network before: that of each pass, or the widest"
    )


class TaskMemory(Memory):
    """Rows of each (experience, task number), drawn at random; all tasks seen so far have equal parts."""

    def __init__(self, rows: int, n_tasks: int) -> None:
        super().__init__()
        self.size, self.n_tasks = rows, n_tasks

    def all(self) -> Tensor:
        """Ascending, each row once: one may be kept for several of its tasks."""
        return super().all().unique()

    def check(self) -> None:
        """Raises UnfitError where not every task can have a row."""
        if self.size < self.n_tasks:
            raise UnfitError(
                f"a memory of {self.size} rows gives none to each of {self.n_tasks} tasks: set memory_rows >= "
                f"{self.n_tasks}, or 0"
            )

    def keep(self, view: ExperienceView, labelled: dict[int, Tensor], seed: int) -> None:
        """Rows of this experience, of those ``labelled`` by task number; earlier ones shrink to their first rows."""
        seen = sorted({task for _, task in self.rows} | labelled.keys())
        quota = quotas(self.size, self.n_tasks, seen, fixed=False)
        for task, rows in labelled.items():
            part = shares(quota[task], [*self.experiences(task), view.experience])[view.experience]
            draws = generator(seed, f"memory/{view.experience}/task{task}")
            self.rows[view.experience, task] = rows[random_selection(len(rows), part, draws)]
        for task in seen:
            for experience, part in shares(quota[task], self.experiences(task)).items():
                self.rows[experience, task] = self.rows[experience, task][:part]


class Previous(nn.Module):
    """The network as it was at the end of the experience before, frozen; it normalises by the batch, as the network in
    training does, so that every width can teach.
    """

    passes: Tensor

    def __init__(self, model: nn.Module, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.copy = FrozenCopy(model)
        self.learned: tuple[str, ...] = ()  # tasks that had a label in earlier experiences
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self._last: tuple[Tensor, Configuration, Any] | None = None  # answers that several passes of a step share

    def get_extra_state(self) -> dict[str, Any]:
        return {"learned": list(self.learned)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.learned = tuple(state["learned"])

    def take(self, learned: Collection[str]) -> None:
        """Copy the network as it is now; ``learned``: the tasks of the experience that ends."""
        self.copy.take()
        self.learned = tuple(dict.fromkeys((*self.learned, *learned)))
        self._last = None

    @property
    def asks(self) -> tuple[str, ...]:
        """Tasks whose outputs are needed beside those in training."""
        return self.learned if self.config.previous_form == "outputs" else ()

    def distance(
        self,
        x: Tensor,
        configuration: Configuration,
        widest: Configuration,
        features: Sequence[Tensor],
        outputs: dict[str, Tensor],
        tasks: Sequence[Task],
    ) -> Tensor | None:
        """Of a pass with ``features`` and ``outputs`` to the network before on the same images; None before there is
        one. Its answers are detached; only outputs of tasks that it has learnt are compared.
        """
        if not self.copy.taken:
            return None
        at = configuration if self.config.previous_width == "same" else widest
        taught, answers = self._answers(x, at)
        if self.config.previous_form != "outputs":
            return ci_kd(features[-1], taught, self.config.previous_form)
        learned = [task for task in tasks if task.name in self.learned]
        return distilled(learned, outputs, answers)

    @torch.no_grad()
    def _answers(self, x: Tensor, at: Configuration) -> tuple[Tensor, dict[str, Tensor]]:
        if self._last is None or self._last[0] is not x or self._last[1] != at:
            model = cast(SlimmableMultiTask, self.copy.module)
            size = (x.shape[-2], x.shape[-1])
            with normalising_by_batch(self.copy.module):
                features = model.features(x, at.encoder)
                answers = {
                    task: model.decode(features, task, at.encoder, d, size)
                    for task, d in zip(model.tasks, at.decoders, strict=True)
                    if task in self.asks
                }
            self.passes += len(x)
            self._last = (x, at, (features[-1], answers))
        return cast(tuple[Tensor, dict[str, Tensor]], self._last[2])


def labelled_rows(view: ExperienceView, task: Task, rows: Tensor) -> Iterator[Tensor]:
    """Of ``rows`` those with a label of ``task`` somewhere, part by part."""
    for part in rows.split(ROWS):
        labelled = task.labelled(view.labels(task.column, part))
        labelled = labelled if labelled.dim() == 1 else labelled.flatten(1).any(1)
        yield part[labelled.to(part.device)]
