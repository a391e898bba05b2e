"""What the loop is given: its settings, and the observer that hears from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .schedules import Schedule, TorchSchedule

if TYPE_CHECKING:
    from ..base import Stage


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite."""


@dataclass(frozen=True)
class TrainingSettings:
    """What the recipe's ``train`` section says to the loop (defaults: the plainest loop)."""

    epochs: int = 1
    epochs_first: int | None = None
    batch_size: int = 32
    eval_batch_size: int = 128
    optimizer: str = "AdamW"
    optimizer_arguments: Mapping[str, Any] | None = None
    schedule: Schedule | TorchSchedule = "constant"
    warmup_steps: int = 0
    milestones: Sequence[int] = ()
    gamma: float = 0.1
    clip: float | None = None
    accumulate: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    path: Literal["memory", "loader"] = "memory"
    workers: int = 0
    log_every: int = 50
    gradients: int = 0

    @property
    def loading(self) -> tuple[Literal["memory", "loader"], int]:
        """How batches are gathered: ``path`` and ``workers``."""
        return self.path, self.workers


class Observer(Protocol):
    """What a run hears from the loop; ``trainer`` is the one that tells it (:class:`.trainer.Trainer`)."""

    def points(self, values: dict[str, float], step: int) -> None:
        """Means since the last call, at a global iteration."""

    def after_iteration(self, trainer: Any, /) -> None:
        """A step ended: the place for a checkpoint. No optimizer state is half-way here."""

    def epoch_batches(self, trainer: Any, n_batches: int, /) -> None:
        """An epoch begins (or is resumed) with this many batches."""

    def after_epoch(self, trainer: Any, /) -> None:
        """An epoch ended: the place for validation."""

    def after_stage(self, trainer: Any, stage: Stage, /) -> None:
        """A stage ended: the place for checks that need what the method may not see."""

    def end_of_stages(self, trainer: Any, /) -> None:
        """All stages ended; the method's ``after_experience`` comes next."""
