"""Two overlapping digits in one image: which is on the upper left, and which on the lower right (MultiMNIST).

The lighter of both is seen where they overlap. Under the data root: MNIST's idx files (:mod:`..readers.mnist`), digits
of 28 px on 36 px. Without a data root scikit-learn's digits take their place, 8 px on 12 px (the stand-in). No digit is
in two splits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.multi_task import MultiTaskInfo, Task, multi_task_source
from ..core.seeds import derive
from ..core.source import Source
from ..core.table import Table
from ..readers import digits, mnist
from ..readers.images import Array
from .rows import Progress, by_task, counted

NAMES = tuple(str(digit) for digit in range(10))
TASKS = (Task("left", "classification", 10, 1.0, NAMES), Task("right", "classification", 10, 1.0, NAMES))
MARGIN = {8: 4, 16: 6, 28: 8}  # pixels by which the image is wider than a digit of this side
VALID = 0.1  # share of the training digits that only validation images show
Digits = tuple[Array, Array]  # grey images [N, S, S] uint8 and labels [N]


class Config(BaseModel):
    """How many pairs there are, and how large."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_train: int = Field(6000, ge=20, le=1_000_000, description="training pairs")
    n_valid: int = Field(1000, ge=1, le=1_000_000, description="validation pairs")
    n_test: int = Field(2000, ge=1, le=1_000_000, description="test pairs")
    size: Literal[8, 16, 28] | None = Field(
        None, description="side of a digit in pixels; null: 28, of the stand-in 8 (16 and 28 are enlarged)"
    )
    experiences: bool = Field(
        False, description="true: a column experience, by which data.split=given brings one task after another"
    )
    seed: int = Field(0, ge=0, description="which digits make a pair (stand-in: which are test, too)")


def overlaid(grey: Array, margin: int, pairs: Array) -> Array:
    """Images [n, S + margin, S + margin] uint8 of ``pairs`` [n, 2] of the digits ``grey`` [N, S, S]: the first in the
    upper left corner, the second in the lower right one, the lighter of both where they overlap.
    """
    size = grey.shape[1]
    out = np.zeros((len(pairs), size + margin, size + margin), np.uint8)
    out[:, :size, :size] = grey[pairs[:, 0]]
    corner = out[:, margin:, margin:]
    np.maximum(corner, grey[pairs[:, 1]], out=corner)
    return out


def _table(part: Digits, count: int, margin: int, rng: np.random.Generator) -> Table:
    grey, labels = part
    pairs = rng.integers(0, len(labels), (count, 2))
    image = torch.from_numpy(overlaid(grey, margin, pairs))[:, None].expand(-1, 3, -1, -1).contiguous()
    targets = {task.column: torch.from_numpy(labels[pairs[:, k]]) for k, task in enumerate(TASKS)}
    return Table({"image": image, **targets})


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image`` [N, 3, S, S], ``target_left`` and ``target_right``. Raises DataError where MNIST's files are
    missing or damaged.
    """
    if root is not None:
        size = config.size or 28
        parts = mnist.read(root, size)
    else:
        size = config.size or 8
        parts = digits.shuffled(config.seed)
        if size > 8:
            parts = {split: (digits.enlarged(grey, size), labels) for split, (grey, labels) in parts.items()}
    grey, labels = parts["train"]
    if len(labels) < 20 or not len(parts["test"][1]):
        raise DataError(f"{root}: {len(labels)} training and {len(parts['test'][1])} test digits are too few")
    first = len(labels) - max(1, round(VALID * len(labels)))
    pools = {
        "train": (grey[:first], labels[:first]),
        "valid": (grey[first:], labels[first:]),
        "test": parts["test"],
    }
    splits = {}
    for split, count in (("train", config.n_train), ("valid", config.n_valid), ("test", config.n_test)):
        rng = np.random.default_rng(derive(config.seed, f"multimnist/{split}"))
        splits[split] = _table(pools[split], count, MARGIN[size], rng)
    if config.experiences:
        splits = by_task(splits, TASKS)
    source = "stand-in" if root is None else "real"
    # the stand-in's seed draws its test digits from one small pool, so that rows of two seeds overlap
    return multi_task_source(splits, TASKS, source, normalise=((0.2,) * 3, (0.3,) * 3), random_split=root is None)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and labelled share of both tasks in every split."""
    return counted(load(config, root))
