"""Any folder of images with a label and a bias column: ``index.csv`` with the columns path, label, bias, split (names
are options).

Labels and biases are any words, and no word means anything: the bias that counts as usual for a class is the one that
most of its training images have.

Without a data root: digits with a patch in the corner whose brightness is the class's (a local bias).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..core import paths
from ..core.errors import DataError
from ..core.images import image_source
from ..core.source import ImageInfo, Source
from .biases import assign, bright_corner
from .digits import Digits, grey_digits
from .image_sets import SPLITS, counts, from_rows, table


class Config(BaseModel):
    """Names of the columns, and the size to which images are brought."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: str = Field("index.csv", description="the csv file under the data root")
    path_column: str = Field("path", description="image, relative to the data root")
    label_column: str = Field("label", description="class, any text")
    bias_column: str = Field("bias", description="bias attribute, any text; used by the evaluation alone")
    split_column: str = Field(
        "split",
        description="train, valid, test, or unbiased: images whose bias does not depend on the class, "
        "for the translation report alone",
    )
    outside_paths: bool = Field(False, description=paths.OUTSIDE)
    size: int = Field(32, ge=4, le=512, description="side in pixels; the shorter side is scaled, the middle is cut")
    rho: float = Field(1.0, ge=0, le=1, description="stand-in: share of training images with their class's patch")
    n_train: int = Field(1300, ge=20, le=1300, description="stand-in: training images")
    n_test: int = Field(397, ge=10, le=397, description="stand-in: test images")
    seed: int = Field(0, ge=0, description="stand-in: order of the digits")


def _released(config: Config, root: Path) -> dict[str, list[tuple[Path, str, str]]]:
    try:
        path = paths.within(root, config.index, config.outside_paths)
    except ValueError as error:
        raise DataError(f"data.options.index: {error}") from error
    if not path.is_file():
        raise DataError(f"{path}: missing; --data-root names the folder that holds it")
    columns = [config.path_column, config.label_column, config.bias_column, config.split_column]
    rows: dict[str, list[tuple[Path, str, str]]] = {split: [] for split in (*SPLITS, "unbiased")}
    faults = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        absent = [c for c in columns if c not in (reader.fieldnames or [])]
        if absent:
            raise DataError(f"{path}: no column {', '.join(absent)}")
        for row in reader:
            image, label, bias, split = ((row[c] or "").strip() for c in columns)
            if split not in rows or not label or not bias:
                faults.append(f"line {reader.line_num}: needs a label, a bias and a split of {', '.join(rows)}")
                continue
            try:
                file_ = paths.within(root, image, config.outside_paths)
            except ValueError as error:
                faults.append(f"line {reader.line_num}: {error}")
                continue
            if not file_.is_file():
                faults.append(f"line {reader.line_num}: no file {image}")
            else:
                rows[split].append((file_, label, bias))
    if faults:
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
        raise DataError(f"{path}: {'; '.join(faults[:5])}{more}")
    return {split: part for split, part in rows.items() if part or split in SPLITS}


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image``, ``label``, ``bias``. Raises DataError with what is wrong with the folder."""
    if root is not None:
        return from_rows(_released(config, root), config.size, progress)
    digits = grey_digits(Digits(n_train=config.n_train, n_test=config.n_test, seed=config.seed), None)
    splits = {}
    for split, (grey, labels) in {**digits, "unbiased": digits["train"]}.items():
        bias = assign(labels, config.rho if split in ("train", "valid") else 0.1, 10)
        splits[split] = table(bright_corner(grey, bias), labels, bias)
    return image_source(splits, [str(c) for c in range(10)], "stand-in")


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts and the share of aligned images."""
    return counts(load(config, root))
