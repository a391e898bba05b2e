"""CIFAR-100 as 20 tasks: each superclass is a task with five classes, and an image belongs to one task.

Under the data root: ``cifar-100-python/`` with ``train``, ``test`` and ``meta`` as released. The class within a task is
the rank of the fine class among the superclass's five. The column ``experience`` is the task, so that
``data.split=given`` brings one task after another.

Without a data root: generated images of the same form, striped figures in as many colours and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.multi_task import MultiTaskInfo, Task, chosen, multi_task_source
from ..core.seeds import derive
from ..core.source import Source
from ..core.table import Table
from ..readers import cifar100
from ..readers.images import Array
from .rows import Progress, counted, kept_back

TASKS, CLASSES, SIDE = 20, 5, 32
NORMALISE = ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))  # of CIFAR-100's training images
COLOURS = np.array([(0.9, 0.3, 0.3), (0.3, 0.8, 0.3), (0.35, 0.45, 0.95), (0.9, 0.8, 0.3), (0.8, 0.4, 0.85)])
Part = tuple[Array, Array, Array]  # images [N, 32, 32, 3] uint8, tasks and classes [N]


class Config(BaseModel):
    """How many rows there are, and of which tasks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_train: int | None = Field(None, ge=20, description="training images; null: all (stand-in: 2000)")
    valid: float = Field(0.1, gt=0, lt=0.5, description="share of the training images that is kept for validation")
    n_test: int | None = Field(None, ge=20, description="test images; null: all (stand-in: 1000)")
    n_tasks: int = Field(TASKS, ge=1, le=TASKS, description="the first so many superclasses, by number")
    tasks: tuple[str, ...] | None = Field(None, description="names of superclasses, in place of n_tasks")
    seed: int = Field(0, ge=0, description="which images are kept for validation; all of the stand-in")


def stand_in(count: int, rng: np.random.Generator) -> Part:
    """``count`` images: the task is one of five colours and four shapes, the class one of five directions of stripes,
    36 degrees apart.
    """
    task, kind = rng.integers(0, TASKS, count), rng.integers(0, CLASSES, count)
    shape, colour = (part[:, None, None] for part in (task // 5, task % 5))
    down, right = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    v, u = ((c - rng.uniform(12, 19, (count, 1, 1))) / rng.uniform(9, 12, (count, 1, 1)) for c in (down, right))
    inside = np.select(
        [shape == 0, shape == 1, shape == 2],
        [u**2 + v**2 < 1, np.maximum(abs(u), abs(v)) < 0.85, abs(u) + abs(v) < 1.1],
        (v < 0.7) & (v > 2 * abs(u) - 1),
    )
    angle = np.pi * kind[:, None, None] / CLASSES + 0.06 * rng.standard_normal((count, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    stripes = 0.6 + 0.4 * np.sin(1.3 * (np.cos(angle) * right + np.sin(angle) * down) + phase)
    light = np.where(inside[..., None], stripes[..., None] * COLOURS[colour], 0.35)
    light = light + 0.08 * rng.standard_normal(light.shape)
    return np.round(255 * np.clip(light, 0, 1)).astype(np.uint8), task, kind


def _released(root: Path) -> tuple[dict[str, Part], list[Task]]:
    data = cifar100.read(root)
    every = np.concatenate([data.fine["train"], data.fine["test"]])
    coarse = np.concatenate([data.coarse["train"], data.coarse["test"]])
    ranks = cifar100.within_superclass(every, coarse)
    if len(ranks) and ranks.max() >= CLASSES:
        raise DataError(f"{root}: a superclass with more than {CLASSES} classes")
    split = np.split(ranks, [len(data.fine["train"])])
    parts = {
        name: (data.images[name], data.coarse[name], rank) for name, rank in zip(("train", "test"), split, strict=True)
    }
    tasks = []
    for number, name in enumerate(data.coarse_names):
        fine = np.unique(every[coarse == number])
        names = tuple(data.fine_names[k] for k in fine) if len(fine) == CLASSES else ()
        tasks.append(Task(name, "classification", CLASSES, 1.0, names))
    return parts, tasks


def _table(part: Part, tasks: Mapping[int, Task]) -> Table:
    """Rows of the ``tasks``, by the number of their superclass."""
    rows = np.isin(part[1], list(tasks))
    images, number, kind = (values[rows] for values in part)
    columns = {"image": torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))}
    for k, task in tasks.items():
        columns[task.column] = torch.from_numpy(np.where(number == k, kind, -1).astype(np.int64))
    place = {k: position for position, k in enumerate(tasks)}
    columns["experience"] = torch.tensor([place[k] for k in number.tolist()], dtype=torch.int64)
    return Table(columns)


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image``, ``target_TASK`` (-1: the image is of another task) and ``experience``. Raises DataError for
    files that are missing or damaged, and for unknown tasks.
    """
    if root is None:
        counts = {"train": config.n_train or 2000, "test": config.n_test or 1000}
        rngs = {split: np.random.default_rng(derive(config.seed, f"cifar100/{split}")) for split in counts}
        parts = {split: stand_in(count, rngs[split]) for split, count in counts.items()}
        tasks = [Task(f"task_{k:02d}", "classification", CLASSES) for k in range(TASKS)]
    else:
        parts, tasks = _released(root)
        rng = np.random.default_rng(derive(config.seed, "cifar100/rows"))
        limits = {"train": config.n_train, "test": config.n_test}
        parts = {split: _some(part, limits[split], rng) for split, part in parts.items()}
    some = chosen(tasks, config.tasks or [task.name for task in tasks[: config.n_tasks]])
    numbered = {tasks.index(task): task for task in some}
    train, valid = kept_back(len(parts["train"][1]), config.valid, config.seed)
    images, number, kind = parts["train"]
    parts |= {s: (images[rows], number[rows], kind[rows]) for s, rows in (("train", train), ("valid", valid))}
    splits = {split: _table(parts[split], numbered) for split in ("train", "valid", "test")}
    name = "stand-in" if root is None else "real"
    return multi_task_source(splits, some, name, normalise=NORMALISE, random_split=False)


def _some(part: Part, count: int | None, rng: np.random.Generator) -> Part:
    """``count`` rows, drawn, in the order of the file. Raises DataError where there are fewer."""
    if count is None:
        return part
    if count > len(part[1]):
        raise DataError(f"data.options ask for {count} images, and there are {len(part[1])}")
    rows = np.sort(rng.permutation(len(part[1]))[:count])
    return part[0][rows], part[1][rows], part[2][rows]


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and labelled share of every task in every split."""
    return counted(load(config, root))
