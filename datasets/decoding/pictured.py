"""A user's own rows about image files: where the files lie, which split a row is of, and the pictures as a column."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError, refuse
from ..core.grouped import SPLITS, split_by_group
from ..core.inputs import ImageInputs
from ..core.language import LanguageInfo
from ..core.paths import OUTSIDE, within
from ..core.source import Source
from ..readers import labelled_texts
from ..readers.csv import split_of
from ..readers.image_rows import Progress, encoded_rows
from ..readers.labelled_texts import Record, text_of
from .texts import Row, Words, language_source


class PicturedConfig(BaseModel):
    """Where rows and images are, and how an image becomes a picture; the numbers of rows are those of the stand-in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: str = Field("images", description="the folder of the image files in the data root; .: the root itself")
    size: int = Field(336, ge=8, le=2048, description="side of a picture in pixels: best that of the model's own")
    fit: Literal["pad", "cut", "stretch"] = Field(
        "pad",
        description="pad: the longer side is brought to it, the rest is grey; cut: the shorter side, and the middle is "
        "cut; stretch: both sides",
    )
    valid: float = Field(0.05, gt=0, lt=0.5, description="share of the images for validation, where splits are drawn")
    test: float = Field(
        1.0, gt=0, le=1, description="share of the images for the test, where no row names its split; 1: all rows"
    )
    outside_paths: bool = Field(False, description=OUTSIDE)
    n_train: int = Field(4000, ge=20, le=1_000_000, description="stand-in: training pictures")
    n_valid: int = Field(150, ge=6, le=100_000, description="stand-in: validation rows")
    n_test: int = Field(300, ge=6, le=100_000, description="stand-in: test rows")
    seed: int = Field(0, ge=0, description="of drawn splits; stand-in: of pictures and rows")


@dataclass(frozen=True)
class Told:
    """A row as its file tells it: ``where`` it stands, its image file, its split ("" where it names none)."""

    where: str
    image: Path
    split: str
    row: Row


def words(text: str) -> Words:
    """A text cut at blanks and line breaks."""
    return tuple(text.split())


def records(root: Path, files: Sequence[str], outside: bool, faults: list[str]) -> list[tuple[str, Record]]:
    """The rows of files in the data root, each with its file's name without the ending.

    Raises DataError where the root or a file is missing or unreadable; what is wrong with a row goes to ``faults``.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; --data-root names the folder that holds {files[0]}")
    found = []
    for name in files:
        try:
            path = within(root, name, outside)
        except ValueError as error:
            raise DataError(f"data.options.files: {error}") from error
        found += [(path.name.partition(".")[0], record) for record in labelled_texts.read(path, faults)]
    return found


def image_of(root: Path, config: PicturedConfig, record: Record, faults: list[str]) -> Path:
    """The image file of a row (field ``image``); what is wrong with it goes to ``faults``."""
    name = text_of(record, "image", faults)
    if not name:
        return root
    try:
        path = within(within(root, config.images, config.outside_paths), name, config.outside_paths)
    except ValueError as error:
        faults.append(f"{record[0]}: {error}")
        return root
    if not path.is_file():
        faults.append(f"{record[0]}: no file {Path(config.images) / name}")
    return path


def named_split(record: Record, faults: list[str]) -> str:
    """The split that a row names in the field ``split``; "" where it names none."""
    given = record[1].get("split")
    return "" if given is None or given == "" else split_of(str(given), record[0], faults)


def _splits(config: PicturedConfig, rows: Sequence[Told]) -> dict[str, list[int]]:
    """Numbers of the rows of each split: as they are named, else drawn by whole images; without drawing all are test.

    A split without rows gets the first test row, so that methods that train nothing run. Raises DataError where some
    rows name a split and others none, and where none is of the test.
    """
    without = [told.where for told in rows if not told.split]
    if without and len(without) < len(rows):
        raise DataError(f"{without[0]}: no split, and other rows name theirs")
    if not without:
        parts = {split: [k for k, told in enumerate(rows) if told.split == split] for split in SPLITS}
    elif config.test == 1:
        parts = {"train": [], "valid": [], "test": list(range(len(rows)))}
    else:
        images = [str(told.image) for told in rows]
        parts = split_by_group(images, ["all"] * len(rows), config.valid, config.test, config.seed)
    if not parts["test"]:
        raise DataError("no row is of the split test; rows name it in the field split, or leave it out")
    empty = [split for split in SPLITS if not parts[split]]
    if empty:
        what = f"no rows for {' and '.join(empty)}: they hold the first test row alone"
        warnings.warn(f"{what}; let nothing be trained on it (methods.*.lm_epochs=0)", stacklevel=2)
    return {split: parts[split] or parts["test"][:1] for split in SPLITS}


def _with_neutral_rows(rows: list[Row], images: Sequence[Path]) -> list[Row]:
    """Each row with the number of the row that asks the same of the same image neutrally."""
    place = {(image, row.prompt): k for k, (row, image) in reversed(list(enumerate(zip(rows, images, strict=True))))}
    numbers = [
        -1 if row.neutral in (None, row.prompt) else place.get((image, row.neutral or ()), -1)
        for row, image in zip(rows, images, strict=True)
    ]
    return [_replaced(row, neutral_row=number) for row, number in zip(rows, numbers, strict=True)]


def _replaced(row: Row, **fields: Any) -> Row:
    return Row(**{**vars(row), **fields})


def pictured_source(
    config: PicturedConfig,
    rows: Sequence[Told],
    faults: Sequence[str],
    what: str,
    progress: Progress | None,
    *,
    yes_no: bool = False,
    **facts: Any,
) -> Source[LanguageInfo]:
    """The source of rows about image files; ``what`` names them in messages, ``facts`` are fields of LanguageInfo.

    Raises DataError with the ``faults``, and with what is wrong with splits and images.
    """
    refuse(what, [*faults, *([] if rows or faults else ["it has no rows"])])
    parts = _splits(config, rows)
    files = list(dict.fromkeys(told.image for told in rows))
    number = {path: k for k, path in enumerate(files)}
    pixels = encoded_rows(files, ImageInputs(column="image", size=config.size, fit=config.fit), progress)
    chosen: dict[str, list[Row]] = {}
    for split, numbers in parts.items():
        chosen[split] = [rows[k].row for k in numbers]
        if any(told.row.neutral is not None for told in rows):
            chosen[split] = _with_neutral_rows(chosen[split], [rows[k].image for k in numbers])
    pictures = {
        split: pixels.take(torch.tensor([number[rows[k].image] for k in numbers])) for split, numbers in parts.items()
    }
    said = sorted({word for told in rows for text in _texts(told.row) for word in text})
    known = [word for word in ("no", "yes") if yes_no] + [w for w in said if not (yes_no and w in ("no", "yes"))]
    name = repr((facts, known))  # what no column holds
    image = (3, config.size)
    return language_source(
        chosen, known, name=name, yes_no=yes_no, pictures=pictures, source="real", image=image, **facts
    )


def _texts(row: Row) -> tuple[Words, ...]:
    return (row.prompt, row.answer, row.neutral or ())


def grouped(names: Sequence[str], where: Mapping[int, str], faults: list[str]) -> tuple[tuple[str, ...], list[int]]:
    """Names of the groups in the order of their first row, and the number of each row's; "" everywhere: no groups.

    Where some rows have a group and others none, that goes to ``faults`` (``where`` says where a row stands).
    """
    if not any(names):
        return (), [0] * len(names)
    faults += [f"{where[k]}: no group, and other rows name theirs" for k, name in enumerate(names) if not name]
    known = tuple(dict.fromkeys(name for name in names if name))
    return known, [known.index(name) if name else 0 for name in names]
