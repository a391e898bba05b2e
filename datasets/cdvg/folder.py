"""Any folder of images with a label and a bias column: ``index.csv`` with the columns path, label, bias, split (names
are options).

Labels and biases are any words, and no word means anything: the bias that counts as usual for a class is the one that
most of its training images have. Folders ``train/CLASS/``, ``valid/CLASS/`` (or ``val``) and ``test/CLASS/`` of images
do without an index. A missing split ``valid`` is drawn from training, and a missing column ``bias`` leaves out what
needs it: aligned and conflicting images, the report on a translator, methods that ask for it.

Without a data root: digits with a patch in the corner whose brightness is the class's (a local bias).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core import paths
from ..core.errors import DataError
from ..core.images import image_source
from ..core.seeds import generator
from ..core.source import ImageInfo, Source
from ..readers.csv import SPLIT_WORDS, fields_of
from ..readers.images import SUFFIXES
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
    valid_share: float = Field(
        0.1, gt=0, lt=0.5, description="share of each class's training images that becomes valid where it is missing"
    )
    rho: float = Field(1.0, ge=0, le=1, description="stand-in: share of training images with their class's patch")
    n_train: int = Field(1300, ge=20, le=1300, description="stand-in: training images")
    n_test: int = Field(397, ge=10, le=397, description="stand-in: test images")
    seed: int = Field(0, ge=0, description="of the images drawn for valid; stand-in: order of the digits")


Rows = dict[str, list[tuple[Path, str, str | None]]]


def _released(config: Config, root: Path) -> Rows:
    """(file, label, bias) of every split; the bias None where nothing says it."""
    try:
        path = paths.within(root, config.index, config.outside_paths)
    except ValueError as error:
        raise DataError(f"data.options.index: {error}") from error
    if not path.is_file() and (root / "train").is_dir():
        rows = _of_folders(root)
    elif not path.is_file():
        raise DataError(
            f"{path}: missing; --data-root names the folder that holds it, or folders train/CLASS/ and test/CLASS/ of "
            "images; to write it: suites data init FOLDER"
        )
    else:
        rows = _of_index(config, root, path)
    drawn = bool(rows["train"]) and not rows["valid"]
    if drawn:
        rows["train"], rows["valid"] = _drawn(rows["train"], config)
    if rows["valid"] and drawn:
        many = f"{len(rows['valid'])} of {len(rows['valid']) + len(rows['train'])} training images are drawn for it"
        warnings.warn(f"{root}: there is no split valid: {many} (data.options.valid_share)", stacklevel=2)
    return {split: part for split, part in rows.items() if part or split in SPLITS}


def _of_folders(root: Path) -> Rows:
    """Images as torchvision's ImageFolder has them: ``SPLIT/CLASS/...``; links that lead out of the root are left."""
    rows: Rows = {split: [] for split in (*SPLITS, "unbiased")}
    names = {**SPLIT_WORDS, "unbiased": "unbiased"}
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower() in names):
        for file in sorted(folder.glob("*/**/*")):
            if file.suffix.lower() in SUFFIXES and file.resolve().is_relative_to(root.resolve()):
                rows[names[folder.name.lower()]].append((file, file.relative_to(folder).parts[0], None))
    return rows


def _of_index(config: Config, root: Path, path: Path) -> Rows:
    rows: Rows = {split: [] for split in (*SPLITS, "unbiased")}
    faults = []
    columns = [config.path_column, config.label_column, config.split_column]
    columns += [config.bias_column] * (config.bias_column != "bias")  # a name that was given must be there
    for line, row in fields_of(path, columns):
        known = config.bias_column in row
        image, label, split = ((row[c] or "").strip() for c in columns[:3])
        bias = (row.get(config.bias_column) or "").strip()
        split = SPLIT_WORDS.get(split, split)
        if split not in rows or not label or (known and not bias):
            faults.append(f"line {line}: needs a label, a bias and a split of {', '.join(rows)}")
            continue
        try:
            file = paths.within(root, image, config.outside_paths)
        except ValueError as error:
            faults.append(f"line {line}: {error}")
            continue
        if not file.is_file():
            faults.append(f"line {line}: no file {image}")
        else:
            rows[split].append((file, label, bias if known else None))
    if faults:
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
        raise DataError(f"{path}: {'; '.join(faults[:5])}{more}")
    return rows


def _drawn(rows: list[tuple[Path, str, str | None]], config: Config) -> tuple[Any, Any]:
    """Training and validation rows: of every class its share, at least one image, and one stays for training."""
    order = torch.randperm(len(rows), generator=generator(config.seed, "folder/valid")).tolist()
    chosen: set[int] = set()
    for label in sorted({label for _, label, _ in rows}):
        mine = [i for i in order if rows[i][1] == label]
        chosen.update(mine[: min(max(1, round(config.valid_share * len(mine))), len(mine) - 1)])
    return [row for i, row in enumerate(rows) if i not in chosen], [rows[i] for i in sorted(chosen)]


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
