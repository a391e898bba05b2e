"""A user's two folders of images, ``background/`` and ``target/``, and a table of attributes.

``attributes.csv`` has a row for each image: ``file`` (``target/17.png``), and any of ``split`` (train, valid, test),
``group`` (a patient, whose images are in one split) and attributes, which are any other columns; an empty cell is a
missing value. Without the table there is nothing to probe but the set itself. Without a data root: digits on gratings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from ..core.contrast import GROUPS, Attribute, ContrastInfo
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from ..core.source import Source, described
from ..readers.csv import read_rows, split_of
from ..readers.images import SUFFIXES, read_image
from .attributes import attributes_of
from .rows import Options, Row, from_images, stand_in

SPECIAL = ("file", "split", "group")


class Config(Options):
    """The table, which of its columns are what, and the size of the images."""

    table: str = Field("attributes.csv", description="table of attributes, in the data root")
    common: tuple[str, ...] = Field((), description="columns of attributes that both sets share")
    salient: tuple[str, ...] = Field((), description="columns of attributes that only the target has")
    size: int | None = Field(None, ge=4, le=512, description="side in pixels; null: as the images are, all alike")
    fit: str = Field(
        "cut", pattern="^(cut|stretch)$", description="cut: the middle; stretch: both sides are brought to it"
    )


def _files(root: Path) -> dict[str, tuple[Path, int]]:
    """Images by their path from the root, with the set; links that lead out of the root are left."""
    files = {}
    for member, name in enumerate(GROUPS):
        folder = root / name
        if not folder.is_dir():
            raise DataError(
                f"{root}: no folder {name}/; --data-root names the folder that holds background/ and target/"
            )
        own = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix.lower() in SUFFIXES]
        own = [p for p in own if p.resolve().is_relative_to(root.resolve())]
        if not own:
            raise DataError(f"{folder}: no image in it ({', '.join(SUFFIXES)})")
        files |= {p.relative_to(root).as_posix(): (p, member) for p in own}
    return files


def _rows(config: Config, root: Path) -> tuple[list[Row], list[Attribute]]:
    files = _files(root)
    if Path(config.table).name != config.table:
        raise DataError(f"data.options.table: {config.table!a} is no file's name")
    path = root / config.table
    if not path.is_file():
        if config.table != "attributes.csv" or config.common or config.salient:
            raise DataError(f"{path}: missing, and the options name it or its columns")
        return [Row(file, member) for file, member in files.values()], []
    faults: list[str] = []
    table: dict[str, dict[str, str]] = {}
    for where, row in read_rows(path, ("file",)):
        if row["file"] not in files or row["file"] in table:
            faults.append(f"{where}: {row['file'][:60]!a} is {'there twice' if row['file'] in table else 'no image'}")
        if "split" in row:
            row["split"] = split_of(row["split"], where, faults)
        table[row["file"]] = row
    faults += [f"no row for {name}" for name in files if name not in table]
    refuse(str(path), faults)
    chosen = [table[name] for name in files]
    names = [name for name in chosen[0] if name not in SPECIAL]
    cells = {name: [row[name] for row in chosen] for name in names}
    attributes, values = attributes_of(cells, [member for _, member in files.values()], config.common, config.salient)
    rows = [
        Row(file, member, row.get("group", ""), own, row.get("split", ""))
        for (file, member), row, own in zip(files.values(), chosen, values, strict=True)
    ]
    return rows, attributes


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``image``, ``target`` and ``attribute_NAME``. Raises DataError with what is wrong with the folder."""
    if root is None:
        return stand_in(config)
    rows, attributes = _rows(config, root)
    size = config.size
    if size is None:
        size = _common_size([row.file for row in rows if row.file is not None])
    fit: Any = config.fit
    inputs = ImageInputs(column="image", size=size, fit=fit)
    return from_images(rows, attributes, config, inputs, progress)


def _common_size(files: list[Path]) -> int:
    """The side of all images. Raises DataError where they differ, or are not square."""
    first = read_image(files[0], None).shape
    for file in files:
        height, width, _ = read_image(file, None).shape
        if (height, width) != first[:2] or height != width:
            what = "not square" if height != width else f"and {files[0].name} has {first[1]} x {first[0]}"
            raise DataError(
                f"{file}: {width} x {height} pixels, {what}; bring all to one size with data.options.size=64"
            )
    if not 4 <= first[0] <= 512:
        raise DataError(f"{files[0]}: {first[0]} pixels a side; 4 to 512 are read: data.options.size=224")
    return int(first[0])


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
