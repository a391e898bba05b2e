"""From rows (file or numbers, set, attributes as text) to a Source, for all sets that are read from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..core.contrast import Attribute, ContrastInfo, contrast_source
from ..core.grouped import split_by_group
from ..core.inputs import ImageInputs
from ..core.source import Source
from ..core.table import Table
from ..readers.image_rows import image_rows
from . import gratings


class Options(BaseModel):
    """What all sets have: shares of the splits, and how large the stand-in is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    valid: float = Field(
        0.05, gt=0, lt=0.5, description="share of rows (of whole patients, where known) for validation"
    )
    test: float = Field(0.1, gt=0, lt=0.5, description="share of rows (of whole patients, where known) for the test")
    seed: int = Field(0, ge=0, description="which rows are validation and test; all of the stand-in")
    n_train: int = Field(2000, ge=2, le=200_000, description="stand-in: training rows of each group")
    n_valid: int = Field(200, ge=1, le=100_000, description="stand-in: validation rows of each group")
    n_test: int = Field(2000, ge=1, le=100_000, description="stand-in: test rows of each group")
    strength: float = Field(0.75, ge=0, le=1, description="stand-in of images: weight of the digit on the grating")


@dataclass(frozen=True)
class Row:
    """One row: the image ``file`` (None: its numbers are elsewhere), ``target`` 1 or 0, ``group`` (a patient; empty: a
    group of its own), ``values`` by attribute (a class's name, a number, or None where it is missing), and its
    ``split`` where something names one.
    """

    file: Path | None
    target: int
    group: str = ""
    values: Mapping[str, str | float | None] = field(default_factory=dict)
    split: str = ""


def stand_in(config: Options) -> Source[ContrastInfo]:
    """Digits on gratings (:mod:`.gratings`), in place of images that are not there."""
    counts = {"train": config.n_train, "valid": config.n_valid, "test": config.n_test}
    splits = {}
    for split, columns in gratings.made(config.strength, counts, config.seed).items():
        tensors = {name: torch.from_numpy(value.astype(np.int64)) for name, value in columns.items() if name != "image"}
        splits[split] = Table({"image": torch.from_numpy(columns["image"])[:, None], **tensors})
    inputs = ImageInputs(column="image", size=gratings.SIDE, channels=1, fit="stretch")
    return contrast_source(splits, gratings.ATTRIBUTES, "stand-in", inputs=inputs, random_split=True)


def split_rows(rows: Sequence[Row], config: Options) -> tuple[dict[str, list[int]], bool]:
    """Row numbers of each split, and whether they were drawn: those that are named stay, else whole groups are drawn in
    the shares of ``config``, alike for the background and for each class of the target's first attribute.
    """
    if rows and all(row.split for row in rows):
        return {s: [i for i, row in enumerate(rows) if row.split == s] for s in ("train", "valid", "test")}, False
    groups = [row.group or f"row {number}" for number, row in enumerate(rows)]
    strata = [
        f"1 {next((v for v in row.values.values() if isinstance(v, str)), '')}" if row.target else "0" for row in rows
    ]
    members = {name: {g for g, s in zip(groups, strata, strict=True) if s == name} for name in set(strata)}
    strata = [name if len(members[name]) >= 3 else name[0] for name in strata]  # rare classes are drawn together
    return split_by_group(groups, strata, config.valid, config.test, config.seed), True


def columns_of(rows: Sequence[Row], attributes: Sequence[Attribute]) -> dict[str, Tensor]:
    """``target`` and the column of each attribute, [N]; -1 and NaN where a value is missing."""
    columns = {"target": torch.tensor([row.target for row in rows], dtype=torch.int64)}
    for attribute in attributes:
        values = [row.values.get(attribute.name) for row in rows]
        if attribute.classes is None:
            numbers = [np.nan if v is None else float(v) for v in values]
            columns[attribute.column] = torch.tensor(numbers, dtype=torch.float64)
        else:
            number = {name: k for k, name in enumerate(attribute.classes)}
            columns[attribute.column] = torch.tensor([-1 if v is None else number[str(v)] for v in values])
    return columns


def from_images(
    rows: Sequence[Row],
    attributes: Sequence[Attribute],
    config: Options,
    inputs: ImageInputs,
    progress: Callable[[int, int], None] | None = None,
) -> Source[ContrastInfo]:
    """A Source of image files. Raises DataError as :func:`~..core.contrast.contrast_source`, and for files that are no
    images.
    """
    parts, drawn = split_rows(rows, config)
    splits = {}
    for split, numbers in parts.items():
        own = [rows[number] for number in numbers]
        columns = columns_of(own, attributes)
        if not all(len(part) for name, part in parts.items() if name != "valid"):
            images = torch.empty(len(own), 3, 1, 1, dtype=torch.uint8)  # refused below, before a file is opened
        else:
            images = image_rows([row.file for row in own if row.file is not None], inputs, progress)
        splits[split] = Table({"image": images, **columns})
    return contrast_source(splits, attributes, "real", inputs=inputs, random_split=drawn)
