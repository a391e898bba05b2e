"""What a run drives, and which of the three kinds a method is driven by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from ...datasets.core.table import Batch, Table
from ..base import Method

if TYPE_CHECKING:
    from ..continual.avalanche import Avalanche
    from .settings import Observer, TrainingSettings


@runtime_checkable
class Trainer(Protocol):
    """Trains an experience, predicts a batch, and says what it is between two steps.

    ``method``: what is trained, with the model, the state that is saved of it, and its costs. ``iteration``: batches
    over the whole run. ``position``: where training stands (experience, stage, epoch, batch). ``between_steps``:
    whether a state may be taken within an experience; else between two alone, and an experience that was cut off is
    trained again from its beginning.

    ``MethodStrategy`` drives methods that take steps, ``Estimator`` those that are fitted at once or have nothing to
    fit, ``AvalancheNative`` strategies of Avalanche; :func:`trainer_of` chooses.
    """

    device: torch.device
    iteration: int
    position: dict[str, int]
    between_steps: bool
    seed: int

    @property
    def method(self) -> Method: ...

    def train(self, experience: Any, /) -> Any:
        """Train one experience of an Avalanche stream; after :meth:`load_state_dict` from where that state was."""

    def predict(self, batch: Batch) -> Mapping[str, Tensor]:
        """Predictions of a batch, name -> [B, ...], in the mode (training or evaluation) that the caller has set."""

    def evaluation_batches(self, table: Table, rows: Tensor, skip: int = 0) -> Iterator[Batch]:
        """Batches of ``rows`` on the device, every row once, but for the first ``skip`` batches."""

    def state_dict(self) -> dict[str, Any] | None:
        """All that :meth:`train` needs to go on: tensors, numbers, strings; None where there is nothing between
        experiences.
        """

    def load_state_dict(self, state: Mapping[str, Any], *, experience: Any = None) -> None:
        """Restore what :meth:`state_dict` returned; ``experience``: the one in training (None: between two)."""

    def course(self) -> list[tuple[str, int]]:
        """Names and epochs of the stages of the experience in training."""

    def planned_steps(self, experience: Any) -> int:
        """Batches that an experience of the stream will make."""

    def seconds_a_step(self, experience: Any) -> float:
        """Measured on three steps; the trainer is of no use afterwards."""


def trainer_of(
    method: Method,
    *,
    settings: TrainingSettings,
    seed: int = 0,
    device: str | torch.device = "cpu",
    observer: Observer | None = None,
    plugins: Sequence[Any] = (),
) -> Trainer:
    """The trainer that the method's class asks for. ``plugins``: Avalanche's, for methods that take steps.

    Raises UnfitError for settings that it cannot follow.
    """
    if method.trainer == "estimator":
        from .estimator import Estimator

        return Estimator(method, settings=settings, seed=seed, device=device, observer=observer)
    if method.trainer == "avalanche":
        from .avalanche_native import AvalancheNative

        return AvalancheNative(
            cast("Avalanche", method), settings=settings, seed=seed, device=device, observer=observer
        )
    from .strategy import MethodStrategy

    return MethodStrategy(
        method=method, settings=settings, seed=seed, device=device, observer=observer, plugins=plugins
    )
