"""One spectrogram, four questions: its class, its accent, its voice, its rate."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ..core.errors import DataError
from ..core.multi_task import MultiTaskInfo, Task, chosen, multi_task_source
from ..core.source import Source
from ..core.table import Table
from . import rows
from .plan import Plan
from .rows import Progress, WorldConfig

check = rows.check


class Config(WorldConfig):
    """The plan of slimmable_world, the tasks and the size of the images."""

    plan: str | dict[str, object] = Field("slimmable", description="as of the other data sets of the spoken world")
    size: int = Field(24, ge=8, le=128, description="side of an image in pixels")
    tasks: tuple[str, ...] | None = Field(None, description="of intent, accent, voice, rate; null: all four")


def tasks_of(plan: Plan) -> tuple[Task, ...]:
    """The tasks that the plan's training rows can be asked. Raises DataError where a factor has one value."""
    accents, voices = plan.factors["accent"]["train"], plan.factors["voice"]["train"]
    for name, given in (("accent", accents), ("voice", voices), ("rate", plan.factors["rate"]["train"])):
        if len(set(given)) < 2:
            raise DataError(f"data.options.plan: factors.{name} has one value in training, and is asked for")
    return (
        Task("intent", "classification", len(plan.classes), 1.0, plan.classes),
        Task("accent", "classification", len(accents), 1.0, accents),
        Task("voice", "classification", len(voices), 1.0, voices),
        Task("rate", "regression", 1, 1.0),
    )


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image`` [N, 3, S, S] and ``target_NAME`` of each task: numbers of classes, -1 for a value that training
    does not have; the rate less the middle of its training range, in halves of that range. Raises DataError as
    :func:`.rows.world` and :func:`tasks_of`.
    """
    made = rows.world(config, root, "tasks")
    asked = chosen(tasks_of(made.plan), config.tasks)
    sound = rows.spoken(made, "spectrogram", config.workers, progress)
    low, high = made.plan.factors["rate"]["train"]
    splits = {}
    for split in made.splits:
        mine = made.of(split)
        columns = {
            "intent": made.numbers(split, "label"),
            "accent": rows.numbered(mine, "accent", made.plan.factors["accent"]["train"]),
            "voice": rows.numbered(mine, "voice", made.plan.factors["voice"]["train"]),
            "rate": ((rows.values(mine, "rate") - (low + high) / 2) / ((high - low) / 2)).float(),
        }
        image = rows.pictures(sound[split], config.size).expand(-1, 3, -1, -1).contiguous()
        splits[split] = Table({"image": image, **{task.column: columns[task.name] for task in asked}})
    return multi_task_source(splits, asked, "stand-in", normalise=((0.5,) * 3, (0.25,) * 3))
