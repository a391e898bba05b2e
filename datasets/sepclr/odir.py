"""Fundus photographs of ODIR-5K: background eyes are normal, target eyes have one diagnosis (Louiset et al., 2024).
Age, sex and side are common, the diagnosis salient.

Under the data root lie the annotations, ``data.csv`` or ``full_df.csv`` (or ``data.xlsx``, where openpyxl is
installed), and ``preprocessed_images/``. Diagnoses are of patients, so that an eye may be healthy while its patient is
flagged. Whole patients are in one split (the official code splits by eye). Without a data root: digits on gratings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from ..core.contrast import Attribute, ContrastInfo
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from ..core.paths import is_file_name
from ..core.source import Source, described
from ..readers.csv import number, read_rows
from .rows import Options, Row, from_images, stand_in

DIAGNOSES = ("D", "G", "C", "A", "M")
NAMES = dict(zip(DIAGNOSES, ("diabetes", "glaucoma", "cataract", "macular degeneration", "myopia"), strict=True))
SIDES = (("left", "Left-Fundus"), ("right", "Right-Fundus"))
COLUMNS = ("Patient Age", "Patient Sex", "Left-Fundus", "Right-Fundus", "N", *DIAGNOSES)
ATTRIBUTES = (
    Attribute("diagnosis", "diagnosis", "salient", tuple(NAMES.values()), target_only=True),
    Attribute("sex", "sex", "common", ("Female", "Male")),
    Attribute("side", "side", "common", ("left", "right")),
    Attribute("age", "age", "common"),
)
TABLES = ("data.csv", "full_df.csv")
SHEET = "data.xlsx"


class Config(Options):
    """How many eyes of each kind, and their size."""

    size: int = Field(224, ge=8, le=512, description="side in pixels")
    n_normal: int = Field(2300, ge=1, le=10_000, description="normal eyes, at most")
    n_diabetes: int = Field(400, ge=1, le=10_000, description="eyes with diabetes, at most")
    n_other: int = Field(350, ge=1, le=10_000, description="eyes of each other diagnosis, at most")


def _table(root: Path) -> tuple[Path, list[tuple[str, dict[str, str]]]]:
    for name in TABLES:
        if (root / name).is_file():
            return root / name, read_rows(root / name, COLUMNS)
    path = root / SHEET
    if not path.is_file():
        raise DataError(f"{root}: no {', '.join((*TABLES, SHEET))}; --data-root names the folder that holds one")
    import pandas

    try:
        frame = pandas.read_excel(path, dtype=str, keep_default_na=False)
    except ImportError as error:
        raise DataError(f"{path}: reading it needs openpyxl; install that, or save the sheet as CSV") from error
    except Exception as error:  # a damaged sheet raises almost anything
        raise DataError(f"{path}: no readable sheet ({str(error).splitlines()[0] if str(error) else error})") from error
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise DataError(f"{path}: no column {', '.join(absent)}")
    rows = [{str(k): str(v).strip() for k, v in row.items()} for row in frame.to_dict("records")]
    return path, [(f"{path.name} line {n}", row) for n, row in enumerate(rows, 2)]


def _released(config: Config, root: Path) -> list[Row]:
    path, table = _table(root)
    images = root / "preprocessed_images"
    most = {"N": config.n_normal, "D": config.n_diabetes, **dict.fromkeys(DIAGNOSES[1:], config.n_other)}
    taken, seen, faults, rows = dict.fromkeys(most, 0), set(), list[str](), list[Row]()
    for where, row in table:
        flags = [name for name in most if row[name] == "1"]
        age = number(row["Patient Age"])
        if len(flags) != 1:
            continue
        if age is None or row["Patient Sex"] not in ("Female", "Male"):
            faults.append(f"{where}: no age, or a sex that is neither Female nor Male")
            continue
        for side, column in SIDES:
            file, kind = row[column], flags[0]
            if taken[kind] >= most[kind] or file in seen:  # full_df.csv has a line for each eye
                continue
            if not is_file_name(file) or not (images / file).is_file():
                faults.append(f"{where}: no image {file[:60]!a} in {images.name}/")
                continue
            seen.add(file)
            taken[kind] += 1
            values = {"diagnosis": NAMES.get(kind), "sex": row["Patient Sex"], "side": side}
            rows.append(
                Row(images / file, int(kind != "N"), _patient(row), {**values, "age": age if age > 1 else None})
            )
    refuse(str(path), faults)
    return rows


def _patient(row: dict[str, str]) -> str:
    """What is equal for both eyes of a patient: the id, else the names of both files."""
    return row.get("ID") or f"{row['Left-Fundus']} {row['Right-Fundus']}"


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``image``, ``target``, ``diagnosis``, ``sex``, ``side``, ``age`` (an age of 1 is unknown). Raises
    DataError with what is missing.
    """
    if root is None:
        return stand_in(config)
    inputs = ImageInputs(column="image", size=config.size, fit="stretch")
    return from_images(_released(config, root), ATTRIBUTES, config, inputs, progress)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
