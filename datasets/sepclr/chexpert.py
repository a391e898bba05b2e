"""Chest radiographs of CheXpert: background has no finding, the target exactly one of cardiomegaly, edema and pleural
effusion (Louiset et al., ICLR 2024). Sex and age are common, the finding salient.

Under the data root lies ``CheXpert-v1.0-small/train.csv`` (or the root is that folder). Frontal AP images alone;
uncertain findings are left out; whole patients are in one split. Without a data root: digits on gratings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from ..core import paths
from ..core.contrast import Attribute, ContrastInfo
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from ..core.source import Source, described
from ..readers.csv import number, read_rows
from .rows import Options, Row, from_images, stand_in

FINDINGS = ("Cardiomegaly", "Edema", "Pleural Effusion")
OTHERS = (
    *("Pneumonia", "Enlarged Cardiomediastinum", "Pneumothorax", "Lung Lesion", "Pleural Other", "Fracture"),
    *("Consolidation", "Atelectasis"),
)
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", *FINDINGS, *OTHERS)
ATTRIBUTES = (
    Attribute("finding", "finding", "salient", FINDINGS, target_only=True),
    Attribute("sex", "sex", "common", ("Female", "Male")),
    Attribute("age", "age", "common"),
)
FOLDER = "CheXpert-v1.0-small"


class Config(Options):
    """How many images of each kind, and their size."""

    size: int = Field(224, ge=8, le=512, description="side in pixels, after 10 are cut off each border")
    n_background: int = Field(10_001, ge=1, le=300_000, description="images without a finding, at most")
    n_target: int = Field(3001, ge=1, le=300_000, description="images of each finding, at most")


def _kind(row: dict[str, str]) -> str | None:
    """The finding, an empty word for none at all, None where the row is of no use."""
    stated = {name: number(row[name] or "0") for name in (*FINDINGS, *OTHERS, "No Finding")}
    positive = [name for name in FINDINGS if stated[name] == 1]
    uncertain = any(stated[name] not in (0, 1) for name in FINDINGS)
    if row["Frontal/Lateral"] != "Frontal" or row["AP/PA"] != "AP" or uncertain or any(stated[n] != 0 for n in OTHERS):
        return None
    if stated["No Finding"] == 1 and not positive:
        return ""
    return positive[0] if len(positive) == 1 and stated["No Finding"] != 1 else None


def _released(config: Config, root: Path) -> list[Row]:
    base = root / FOLDER if (root / FOLDER / "train.csv").is_file() else root
    path = base / "train.csv"
    if not path.is_file():
        raise DataError(f"{root}: no {FOLDER}/train.csv; --data-root names the folder that holds {FOLDER}")
    faults: list[str] = []
    taken: dict[str, int] = {}
    rows = []
    for where, row in read_rows(path, COLUMNS):
        kind = _kind(row)
        if kind is None or taken.get(kind, 0) >= (config.n_target if kind else config.n_background):
            continue
        if row["Sex"] not in ("Female", "Male"):  # unknown
            continue
        age = number(row["Age"])
        try:
            file = paths.within(base, row["Path"].partition("/")[2] if "/" in row["Path"] else row["Path"])
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        patient = re.search(r"patient\d+", row["Path"])
        if age is None or not 0 <= age < 150 or patient is None or not file.is_file():
            why = "no age" if age is None or not 0 <= age < 150 else "no image and patient"
            faults.append(f"{where}: {why} ({row['Age'][:20]!a}, {row['Path'][:80]!a})")
            continue
        taken[kind] = taken.get(kind, 0) + 1
        values = {"finding": kind or None, "sex": row["Sex"], "age": age if age > 0 else None}
        rows.append(Row(file, int(bool(kind)), patient[0], values))
    refuse(str(path), faults)
    return rows


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``image``, ``target``, ``finding``, ``sex``, ``age``. Raises DataError with what is missing."""
    if root is None:
        return stand_in(config)
    inputs = ImageInputs(column="image", size=config.size, fit="area", border=10)
    return from_images(_released(config, root), ATTRIBUTES, config, inputs, progress)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
