"""Learning rate over the optimizer steps of a stage: the recipe's three schedules, and any of torch's by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from ..base import UnfitError

Schedule = Literal["constant", "cosine", "multistep"]

# Arguments that are a number of steps: filled in with those of the stage where they are not given.
LENGTHS = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max", "PolynomialLR": "total_iters"}
REFUSED = {
    "ReduceLROnPlateau": "it waits for a metric, and the rate here moves with the optimizer's steps",
    "LambdaLR": "it takes a function: a method gives one as OptimizerSpec.factor",
    "MultiplicativeLR": "it takes a function: a method gives one as OptimizerSpec.factor",
    "SequentialLR": "it takes other schedulers",
    "ChainedScheduler": "it takes other schedulers",
}


@dataclass(frozen=True)
class TorchSchedule:
    """A class of ``torch.optim.lr_scheduler`` by name, with its arguments; it moves once an optimizer step."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def factor_of(
    schedule: Schedule,
    *,
    steps_per_epoch: int,
    epochs: int,
    warmup: int = 0,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
) -> Callable[[int], float] | None:
    """The factor of the learning rate at optimizer step s (from 0); None where it is 1 throughout.

    With T = ``steps_per_epoch * epochs`` and w = ``warmup``: ``(s + 1) / w`` while s < w; then ``constant`` 1,
    ``cosine`` ``(1 + cos(π (s - w) / (T - w))) / 2``, ``multistep`` ``gamma`` to the power of the milestones (epochs,
    counted from 0) that have begun.

    Args:
        steps_per_epoch: optimizer steps, not batches: ``ceil(batches / accumulate)``.
    """
    total = max(1, steps_per_epoch * epochs)
    begins = [milestone * steps_per_epoch for milestone in milestones] if schedule == "multistep" else []
    if schedule == "constant" and not warmup:
        return None

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))
        return gamma ** sum(step >= begin for begin in begins)

    return factor


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def scheduler_names() -> list[str]:
    """The classes of ``torch.optim.lr_scheduler`` that a recipe may name."""
    kinds = vars(lr_scheduler).items()
    known = {name for name, kind in kinds if inspect.isclass(kind) and issubclass(kind, LRScheduler)}
    return sorted(name for name in known - REFUSED.keys() if name != "LRScheduler" and not name.startswith("_"))


def scheduler_class(schedule: TorchSchedule) -> type[LRScheduler]:
    """Its class. Raises UnfitError for a name or an option that there is not."""
    name = schedule.name
    if name in REFUSED:
        raise UnfitError(f"train.schedule.name: {name} cannot be named in a recipe: {REFUSED[name]}")
    if name not in scheduler_names():
        raise UnfitError(
            f"train.schedule.name: torch.optim.lr_scheduler has no '{name}' (there are: {', '.join(scheduler_names())})"
        )
    kind: type[LRScheduler] = getattr(lr_scheduler, name)
    known = [each for each in inspect.signature(kind).parameters if each not in ("optimizer", "last_epoch", "scale_fn")]
    for option in schedule.options:
        if option not in known:
            raise UnfitError(f"train.schedule.options.{option}: {name} has no such option (it has: {', '.join(known)})")
    return kind


def torch_scheduler(optimizer: Optimizer, schedule: TorchSchedule, total_steps: int) -> LRScheduler:
    """The scheduler over ``optimizer``, for a stage of ``total_steps`` optimizer steps.

    The stage's length is filled in where the class takes one (``LENGTHS``), OneCycleLR's ``max_lr`` with each group's
    own rate. Raises UnfitError, naming the field, for what the class does not accept.
    """
    kind = scheduler_class(schedule)
    options = dict(schedule.options)
    if schedule.name == "OneCycleLR":
        options.setdefault("max_lr", [group["lr"] for group in optimizer.param_groups])
    if schedule.name != "OneCycleLR" or not {"epochs", "steps_per_epoch"} & options.keys():
        length = LENGTHS.get(schedule.name)
        if length is not None:
            options.setdefault(length, max(1, total_steps))
    try:
        return kind(optimizer, **options)
    except (TypeError, ValueError) as error:
        raise UnfitError(f"train.schedule.options: {schedule.name}: {first_line(error)}") from error


def last_step(schedule: TorchSchedule, scheduler: LRScheduler, total_steps: int) -> int | None:
    """The step at which the rate stays as it is, for an optimizer that makes more steps than the schedule has; None:
    it never does.
    """
    end = getattr(scheduler, "total_steps", None)  # OneCycleLR's last rate is that of total_steps - 1; later it raises
    if isinstance(end, int):
        return end - 1
    length = LENGTHS.get(schedule.name)
    return max(1, total_steps) if length is not None and length not in schedule.options else None
