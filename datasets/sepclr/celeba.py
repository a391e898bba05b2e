"""CelebA with and without accessories: background faces have neither glasses nor a hat, target faces one of both
(Louiset et al., ICLR 2024). Sex is common, the accessory salient.

Under the data root: ``img_align_celeba/`` and ``list_attr_celeba.txt`` as released, or the csv of mirrors (the file's
name in ``image_id`` or ``File_name``). Rows are taken in file order until each kind is full. Without a data root:
digits on gratings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from ..core.contrast import Attribute, ContrastInfo
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from ..core.paths import is_file_name
from ..core.source import Source, described
from ..readers.csv import read_rows
from ..readers.files import read_text
from .rows import Options, Row, from_images, stand_in

ATTRIBUTES = (
    Attribute("sex", "sex", "common", ("female", "male")),
    Attribute("accessory", "accessory", "salient", ("glasses", "hat"), target_only=True),
)
TABLES = ("list_attr_celeba.txt", "list_attr_celeba.csv")
NEEDED = ("Eyeglasses", "Wearing_Hat", "Male")


class Config(Options):
    """How many faces of each kind, and their size."""

    valid: float = Field(0.05, gt=0, lt=0.5, description="share of the faces for validation")
    test: float = Field(0.2, gt=0, lt=0.5, description="share of the faces for the test")
    size: int = Field(128, ge=8, le=176, description="side in pixels, of the middle 176")
    n_background: int = Field(6000, ge=1, le=200_000, description="faces without accessory, of each sex")
    n_target: int = Field(3000, ge=1, le=200_000, description="faces of each accessory and sex")


def _table(path: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Place, file name and attributes of every row."""
    if path.suffix == ".csv":
        rows = read_rows(path, NEEDED)
        key = next((k for k in ("image_id", "File_name") if rows and k in rows[0][1]), None)
        if key is None:
            raise DataError(f"{path}: no column image_id or File_name, or no rows")
        yield from ((where, row[key], row) for where, row in rows)
        return
    lines = read_text(path).splitlines()
    names = lines[1].split() if len(lines) > 1 else []
    absent = [name for name in NEEDED if name not in names]
    if absent:
        raise DataError(f"{path}: the second line names no {', '.join(absent)}")
    for number, line in enumerate(lines[2:], 3):
        file, *values = line.split() or [""]
        where = f"{path.name} line {number}"
        if line.strip() and len(values) != len(names):
            raise DataError(f"{where}: {len(values)} attributes, not {len(names)}")
        if line.strip():
            yield where, file, dict(zip(names, values, strict=True))


def _released(config: Config, root: Path) -> list[Row]:
    folders = [root, root / "celeba", root / "Anno", root / "CelebA"]
    path = next((folder / name for folder in folders for name in TABLES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{root}: no {' or '.join(TABLES)}; --data-root names the folder that holds it")
    images = path.parent / "img_align_celeba"
    images = images / "img_align_celeba" if (images / "img_align_celeba").is_dir() else images
    faults: list[str] = []
    taken: dict[tuple[str, str | None], int] = {}
    rows = []
    for where, file, values in _table(path):
        if any(values[name] not in ("1", "-1", "0") for name in NEEDED):
            faults.append(f"{where}: {', '.join(NEEDED)} must be 1 or -1")
            continue
        glasses, hat, male = (values[name] == "1" for name in NEEDED)
        kind = (("female", "male")[male], "glasses" if glasses else "hat" if hat else None)
        full = taken.get(kind, 0) >= (config.n_target if kind[1] else config.n_background)
        if (glasses and hat) or full:
            continue
        if not is_file_name(file) or not (images / file).is_file():
            faults.append(f"{where}: no image {file[:60]!a} in {images.name}/")
            continue
        taken[kind] = taken.get(kind, 0) + 1
        rows.append(Row(images / file, int(kind[1] is not None), "", {"accessory": kind[1], "sex": kind[0]}))
    refuse(str(path), faults)
    return rows


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``image``, ``target``, ``sex``, ``accessory``. Raises DataError with what is missing."""
    if root is None:
        return stand_in(config)
    inputs = ImageInputs(column="image", size=config.size, fit="cut", centre=176)
    return from_images(_released(config, root), ATTRIBUTES, config, inputs, progress)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
