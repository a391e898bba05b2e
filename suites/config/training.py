"""The recipe's optimizer and schedule in the loop's words, and what torch says to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sections import ScheduleSection, TrainSection

if TYPE_CHECKING:
    from ...methods.training.schedules import Schedule, TorchSchedule

COMMON = ("lr", "weight_decay", "betas", "eps")  # fields of train; an optimizer gets those that it takes


def arguments_of(train: TrainSection) -> dict[str, Any]:
    """Arguments of the recipe's optimizer. Raises UnfitError, naming the field, for what it does not take."""
    from ...methods.training import optimizers

    common = {name: getattr(train, name) for name in COMMON}
    return optimizers.arguments_of(train.optimizer, common, train.optimizer_options)


def schedule_of(train: TrainSection) -> Schedule | TorchSchedule:
    """The recipe's schedule."""
    from ...methods.training.schedules import TorchSchedule

    if isinstance(train.schedule, ScheduleSection):
        return TorchSchedule(train.schedule.name, train.schedule.options)
    return train.schedule


def errors_of(train: TrainSection) -> list[str]:
    """A line for each field that torch refuses; optimizer and schedule are made on a small weight where they have
    options.
    """
    from ...methods.base import UnfitError
    from ...methods.training.optimizers import check_optimizer
    from ...methods.training.schedules import TorchSchedule

    schedule = schedule_of(train)
    try:
        arguments = arguments_of(train)
        if train.optimizer_options or isinstance(schedule, TorchSchedule):  # else the recipe's ranges say it all
            check_optimizer(train.optimizer, arguments, schedule)
    except UnfitError as error:
        return [str(error)]
    return []
