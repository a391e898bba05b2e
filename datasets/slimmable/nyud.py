"""NYU depth v2 with four tasks (NYUD_MT): 40 classes, depth in metres, surface normals, edges.

Under the data root, itself or in ``NYUD_MT/``: ``gt_sets/{train,val}.txt``, ``images/ID.jpg``, ``segmentation/ID.png``
(0: none, then the classes from 1), ``depth/ID.npy`` (0: none), ``normals/ID.npy`` [H, W, 3], ``edge/ID.npy``. The list
``val`` is the test; a share of ``train`` is kept for validation. Without a data root: generated scenes with the same
tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ..core.multi_task import MultiTaskInfo, Task, chosen, multi_task_source
from ..core.source import Source
from ..readers import maps
from ..readers.images import Array
from . import scenes
from .rows import Progress, Read, Sample, counted, dense_source, kept_back, listed, missing

FOLDER = "NYUD_MT"
TASKS = (
    Task("seg", "segmentation", 40, 1.0),
    Task("depth", "depth", 1, 1.0),
    Task("normals", "normals", 3, 10.0),
    Task("edges", "edges", 1, 50.0),
)
FILES = {"seg": "segmentation/{}.png", "depth": "depth/{}.npy", "normals": "normals/{}.npy", "edges": "edge/{}.npy"}


class Config(scenes.Size):
    """Which tasks, and the size of the images; the numbers of scenes are those of the stand-in."""

    tasks: tuple[str, ...] = Field(
        ("seg", "normals", "depth"), min_length=1, description="tasks: any of seg, depth, normals, edges"
    )
    height: int = Field(480, ge=16, le=1024, description="real images: height in pixels; larger ones are shrunk")
    width: int = Field(640, ge=16, le=1024, description="real images: width in pixels")
    valid: float = Field(0.1, gt=0, lt=0.5, description="real images: share of the training images for validation")


def _seg(files: Sequence[Path]) -> Array:
    values = maps.label_image(files[0])
    return maps.classes(np.where(values == 0, maps.VOID, values - 1), files[0], TASKS[0].outputs)


READERS: Mapping[str, Read] = {
    "seg": _seg,
    "depth": lambda files: maps.depth_array(files[0]),
    "normals": lambda files: maps.normals_array(files[0]),
    "edges": lambda files: maps.binary(maps.plane(files[0]), files[0]),
}


def stand_in(config: scenes.Size, tasks: Sequence[Task]) -> Source[MultiTaskInfo]:
    """Generated scenes with ``tasks`` of the same names and kinds; segmentation has their four classes."""
    known = {task.name: task for task in scenes.TASKS}
    made = [Task(t.name, t.kind, known[t.name].outputs, t.weight, known[t.name].classes) for t in tasks]
    splits = scenes.generated(config, made, lambda part: part, "nyud")
    return multi_task_source(splits, made, "stand-in", normalise=((0.35,) * 3, (0.25,) * 3))


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image`` and ``target_TASK``. Raises DataError with the files that are missing or at fault."""
    tasks = chosen(TASKS, config.tasks)
    if root is None:
        return stand_in(config, tasks)
    base = root / FOLDER if (root / FOLDER).is_dir() else root
    lists = {split: listed(base / "gt_sets" / f"{split}.txt") for split in ("train", "val")}
    samples = {
        split: [
            Sample(base / "images" / f"{name}.jpg", {t.name: (base / FILES[t.name].format(name),) for t in tasks})
            for name in ids
        ]
        for split, ids in lists.items()
    }
    missing([p for part in samples.values() for s in part for p in (s.image, *(f[0] for f in s.files.values()))], base)
    train, valid = kept_back(len(samples["train"]), config.valid, config.seed)
    parts = {
        "train": [samples["train"][k] for k in train],
        "valid": [samples["train"][k] for k in valid],
        "test": samples["val"],
    }
    return dense_source(parts, tasks, READERS, (config.height, config.width), "nyud", progress)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and labelled share of every task in every split."""
    return counted(load(config, root))
