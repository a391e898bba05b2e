"""Background and target speech: the target has an accent and a noise that the background does not have."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field

from ..core.contrast import Attribute, ContrastInfo, contrast_source
from ..core.errors import DataError
from ..core.source import Source
from ..core.table import Table
from . import rows
from .factors import FACTORS, NAMED
from .plan import Plan
from .rows import Progress, WorldConfig

check = rows.check


class Config(WorldConfig):
    """The plan of sepclr_world, and the size of the images."""

    plan: str | dict[str, object] = Field("sepclr", description="as of the other data sets; it has a target")
    size: int = Field(16, ge=8, le=128, description="side of an image in pixels")


def attributes_of(plan: Plan) -> list[Attribute]:
    """The label and what varies on both sides are common; what varies in the target, and not alike in the background,
    is salient. Raises DataError where the plan has no target, or one that is like the background.
    """
    if plan.target is None:
        raise DataError("data.options.plan: a background and a target are asked for: give the plan a target")
    made, salient = [Attribute(plan.label, plan.label, "common", plan.classes)], 0
    for factor in FACTORS:
        background, target = plan.factors[factor]["train"], plan.target[factor]["train"]
        if len(set(target)) < 2:
            continue
        alike = background == target
        names = tuple(map(str, target)) if factor in NAMED else None
        made.append(Attribute(factor, factor, "common" if alike else "salient", names, target_only=not alike))
        salient += not alike
    if not salient:
        raise DataError("data.options.plan: no factor of the target varies and differs from the background's")
    return made


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[ContrastInfo]:
    """Columns ``image`` [N, 1, S, S], ``target`` and one of every attribute. Raises DataError as :func:`.rows.world`
    and :func:`attributes_of`.
    """
    attributes = attributes_of(config.made())
    made = rows.world(config, root, "contrast")
    sound = rows.spoken(made, "spectrogram", config.workers, progress)
    splits = {}
    for split in made.splits:
        mine, target = made.of(split), made.numbers(split, "is_target")
        columns = {"image": rows.pictures(sound[split], config.size), "target": target}
        for attribute in attributes:
            if attribute.column == made.plan.label:
                columns[attribute.column] = made.numbers(split, "label")
                continue
            missing: float = float("nan")
            if attribute.classes is None:
                column = rows.values(mine, attribute.column)
            else:
                column, missing = rows.numbered(mine, attribute.column, attribute.classes), -1
            hidden = (target == 0) & attribute.target_only
            columns[attribute.column] = torch.where(hidden, torch.full_like(column, missing), column)
        splits[split] = Table(columns)
    return contrast_source(splits, attributes, "stand-in")
