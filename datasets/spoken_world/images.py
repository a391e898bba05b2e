"""Spectrograms of commands as images, of which a factor of the sound gives the class away in training."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field

from ..core.errors import DataError
from ..core.images import image_source
from ..core.source import ImageInfo, Source
from ..core.table import Table
from . import rows
from .draw import Row
from .plan import Plan
from .rows import Progress, WorldConfig

check = rows.check


class Config(WorldConfig):
    """The plan of cdvg_world, and the size of the images."""

    plan: str | dict[str, object] = Field("cdvg", description="as of the other data sets of the spoken world")
    size: int = Field(16, ge=8, le=128, description="side of an image in pixels")
    n_unbiased: int = Field(
        20,
        ge=0,
        le=100_000,
        description="rows of each class of the split unbiased, for the translation report; 0: none",
    )


def planted(plan: Plan) -> str:
    """The named factor that follows the label. Raises DataError where the plan has none, or several."""
    found = [factor for factor, of in plan.bias if of == plan.label]
    if len(found) != 1:
        raise DataError(
            f"the plan's bias must have one factor that follows the label ({plan.label}): voice~{plan.label}"
        )
    return found[0]


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[ImageInfo]:
    """Columns ``image`` [N, 3, S, S], ``label``, ``bias`` (number of the factor's level) and ``experience``; splits
    train, valid, test and, of training sentences with nothing planted, unbiased. Raises DataError as
    :func:`.rows.world`, and where a row has a level that no training row may have.
    """
    made = rows.world(config, root, "images", unbiased=config.n_unbiased)
    factor = planted(made.plan)
    levels = [str(level) for level in made.plan.levels(factor)]
    sound = rows.spoken(made, "spectrogram", config.workers, progress)
    splits = {}
    for split in made.splits:
        mine = made.of(split)
        bias = _levels(made.plan, factor, mine)
        if int(bias.min()) < 0:
            raise DataError(f"factors.{factor}: the {split} rows have values that training does not know")
        columns = {"label": made.numbers(split, "label"), "experience": made.numbers(split, "experience")}
        image = rows.pictures(sound[split], config.size).expand(-1, 3, -1, -1).contiguous()
        splits[split] = Table({"image": image, "bias": bias, **columns})
    usual = [levels.index(str(made.plan.own(factor, made.plan.label, name))) for name in made.plan.classes]
    return image_source(
        splits,
        made.plan.classes,
        "stand-in",
        usual=usual,
        biases=[_word(level) for level in levels],
        random_split=False,
    )


def _levels(plan: Plan, factor: str, mine: list[Row]) -> torch.Tensor:
    levels = plan.levels(factor)
    if isinstance(levels[0], str):
        return rows.numbered(mine, factor, levels)
    edges = torch.tensor([low for low, _ in levels[1:]], dtype=torch.float64)
    return torch.bucketize(torch.tensor([row.values[factor] for row in mine], dtype=torch.float64), edges, right=True)


def _word(level: str) -> str:
    return level.strip("()").replace(", ", " to ")
