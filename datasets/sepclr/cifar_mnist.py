"""Digits on photographs: background images are CIFAR-10's at half brightness, target images have a digit of MNIST on
them (Louiset et al., ICLR 2024; the official code's pairing).

Row i is half the i-th image of CIFAR-10, and, from the middle of each split on, half the i-th digit of MNIST added,
padded to 32 px. Without a data root: digits on gratings (:mod:`.gratings`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.contrast import Attribute, ContrastInfo, contrast_source
from ..core.errors import DataError
from ..core.inputs import ImageInputs
from ..core.source import Source, described
from ..core.table import Table
from ..readers import cifar, mnist
from ..readers.images import Array
from . import gratings

ATTRIBUTES = (
    Attribute("object", "object", "common", cifar.CLASSES),
    Attribute("digit", "digit", "salient", tuple(str(c) for c in range(10)), target_only=True),
)
Columns = dict[str, Array]


class Config(BaseModel):
    """How many rows there are, and what the stand-in is like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_train: int | None = Field(
        None, ge=2, le=200_000, description="training rows of each group; null: all (stand-in: 2000)"
    )
    n_valid: int | None = Field(
        None, ge=1, le=100_000, description="validation rows of each group, kept back; null: 1000 (stand-in: 200)"
    )
    test_size: int | Literal["full"] = Field(
        1000, description="test rows of both groups: the first of the test files, or full; stand-in: n_test counts"
    )
    n_test: int = Field(2000, ge=1, le=100_000, description="stand-in: test rows of each group")
    strength: float = Field(
        0.75, ge=0, le=1, description="stand-in: weight of the digit; below 0.75 the gratings are the easier pattern"
    )
    experiences: int = Field(
        1, ge=1, le=10, description="above 1: a column experience, by which data.split=given makes pairs of both sets"
    )
    seed: int = Field(0, ge=0, description="stand-in: which digits are test, gratings, pairs")


def blended(photographs: Array, digits: Array) -> Array:
    """Images [N, 32, 32, 3] uint8: half of ``photographs`` [N, 32, 32, 3] and half of ``digits`` [N, 28, 28], halves
    rounded up.
    """
    padded = np.pad(digits, ((0, 0), (2, 2), (2, 2)))[..., None]
    return ((photographs.astype(np.uint16) + padded + 1) // 2).astype(np.uint8)


def _real(config: Config, root: Path) -> dict[str, Columns]:
    folder = cifar.find(root)
    if folder is None or mnist.find(root) is None:
        there = "CIFAR-10's batches" if folder is None else "MNIST's idx files"
        raise DataError(
            f"{root}: no {there} there; --data-root names a folder with both cifar-10-batches-py (or -bin) and mnist"
        )
    photographs, digits = cifar.read(folder), mnist.read(root)
    n_valid = config.n_valid or 1000
    half = min(len(photographs["train"][1]), len(digits["train"][1])) // 2
    if (config.n_train or 2) + n_valid > half:
        raise DataError(
            f"data.options.n_train + n_valid = {(config.n_train or 2) + n_valid} rows of each group, and {2 * half} "
            f"images of CIFAR-10 with a digit each give {half}"
        )
    stop = half - n_valid
    most = min(len(photographs["test"][1]), len(digits["test"][1]))
    size = most if config.test_size == "full" else min(most, config.test_size)
    rows = {
        "train": (0, config.n_train or stop, half),
        "valid": (stop, half, half),
        "test": (0, size // 2, size // 2),
    }
    splits = {}
    for split, (start, end, middle) in rows.items():
        part = "test" if split == "test" else "train"
        (images, objects), (grey, numbers) = photographs[part], digits[part]
        index = np.concatenate([np.arange(start, end), middle + np.arange(start, end)])
        target = np.repeat([0, 1], end - start)
        splits[split] = {
            "image": blended(images[index], grey[index] * target[:, None, None].astype(np.uint8)),
            "target": target,
            "object": objects[index],
            "digit": np.where(target == 1, numbers[index], -1),
        }
    return splits


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``image`` [N, C, S, S], ``target``, ``digit`` and ``object`` (stand-in: ``grating``). Raises DataError
    with what is missing.
    """
    if root is None:
        counts = {"train": config.n_train or 2000, "valid": config.n_valid or 200, "test": config.n_test}
        splits, attributes = gratings.made(config.strength, counts, config.seed), gratings.ATTRIBUTES
    else:
        splits, attributes = _real(config, root), ATTRIBUTES
    tables = {split: _table(columns, config.experiences) for split, columns in splits.items()}
    side, channels = (8, 1) if root is None else (32, 3)
    inputs = ImageInputs(column="image", size=side, channels=channels, fit="stretch")
    kind = "stand-in" if root is None else "real"
    return contrast_source(tables, attributes, kind, inputs=inputs, random_split=root is None)


def _table(columns: Columns, experiences: int) -> Table:
    image = columns["image"]
    planes = image[:, None] if image.ndim == 3 else image.transpose(0, 3, 1, 2)
    tensors = {"image": torch.from_numpy(np.ascontiguousarray(planes))}
    tensors |= {n: torch.from_numpy(v.astype(np.int64)) for n, v in columns.items() if n != "image"}
    if experiences > 1:  # new digits in each; backgrounds are dealt in turn
        in_turn = torch.arange(len(image)) % experiences
        tensors["experience"] = torch.where(tensors["target"] == 1, tensors["digit"] * experiences // 10, in_turn)
    return Table(tensors)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
