"""A user's images and maps: a manifest, ``manifest.csv``, and the tasks, ``data.options.tasks``.

A row of the manifest names an image in the column ``image`` and, in a column of each task's name, its target: the path
of a map (both below the data root), or, of classification and regression, the class's name or the number. An empty
cell is a missing label. A column ``split`` (train, valid, test) and a column ``group`` (a scene or a person, whose
images are all in one split) may be there; without ``split`` the split is drawn.

Maps have the size of their image. Segmentation: a grey or palette image of class numbers, 255 for none. Depth: a .npy
array, or a grey image times ``depth_unit``, 0 for none. Normals: a .npy array [H, W, 3], or a colour image
(2 p / 255 - 1). Edges and saliency: a grey image or a .npy array, positive from half of the range on.

The tasks may also be declared in a recipe that extends this one:
``tasks: {road: {kind: segmentation, outputs: 2}, depth: {kind: depth, weight: 2}}``. Without a data root: generated
scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError, refuse
from ..core.grouped import split_by_group
from ..core.multi_task import CHANNELS, MAPS, Kind, MultiTaskInfo, Task
from ..core.paths import OUTSIDE, within
from ..core.source import Source
from ..readers import maps
from ..readers.csv import number, read_rows, split_of
from ..readers.images import Array, read_image
from . import scenes
from .nyud import stand_in
from .rows import Progress, Read, Sample, counted, dense_source

SPECIAL = ("image", "split", "group")
SPLITS = ("train", "valid", "test")


class Declared(BaseModel):
    """One task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(description="segmentation, depth, normals, edges, saliency, classification or regression")
    outputs: int | None = Field(
        None, ge=1, description="classes of a segmentation; of a classification the manifest says it; others have one"
    )
    weight: float = Field(1.0, gt=0, description="by which the task's loss is multiplied")


class Config(scenes.Size):
    """The manifest, the tasks, and the size of the images; the numbers of scenes are those of the stand-in."""

    manifest: str = Field("manifest.csv", description="the manifest, in the data root")
    tasks: Mapping[str, Declared] = Field(
        default_factory=dict, description="kind, outputs and weight of each task; names are columns of the manifest"
    )
    height: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="height in pixels; larger images are shrunk, smaller filled up; null: that of all",
    )
    width: int | None = Field(None, ge=16, le=2048, description="width in pixels; null: that of all images")
    depth_unit: float = Field(0.001, gt=0, description="of a depth image: metres of one step of its numbers")
    valid: float = Field(0.1, gt=0, lt=0.5, description="share of rows (of whole groups) for validation, where drawn")
    test: float = Field(0.2, gt=0, lt=0.5, description="share of rows (of whole groups) for the test, where drawn")
    outside_paths: bool = Field(False, description=OUTSIDE)


def _declared(config: Config, rows: Sequence[tuple[str, dict[str, str]]]) -> list[Task]:
    """The tasks; classes of a classification are the words in its column, sorted."""
    tasks = []
    for name, one in config.tasks.items():
        if one.kind == "classification":
            words = tuple(sorted({row[name] for _, row in rows if row[name]}))
            tasks.append(Task(name, one.kind, len(words), one.weight, words))
        elif one.kind == "segmentation" and one.outputs is None:
            raise DataError(f"data.options.tasks.{name}: say the number of its classes with outputs")
        else:
            outputs = CHANNELS.get(one.kind, one.outputs or 1)
            if one.outputs not in (None, outputs):
                raise DataError(f"data.options.tasks.{name}: {one.kind} has {outputs} outputs, not {one.outputs}")
            tasks.append(Task(name, one.kind, outputs, one.weight))
    return tasks


def _sample(
    config: Config, root: Path, tasks: Sequence[Task], where: str, row: Mapping[str, str], faults: list[str]
) -> Sample:
    """One row; what is wrong with it goes to ``faults``."""

    def path(text: str, column: str) -> Path:
        try:
            found = within(root, text, config.outside_paths)
        except ValueError as error:
            faults.append(f"{where}, column {column}: {error}")
            return root
        if not found.is_file():
            faults.append(f"{where}, column {column}: no file {text[:80]}")
        return found

    files: dict[str, tuple[Path, ...]] = {}
    values: dict[str, float] = {}
    for task in tasks:
        text = row[task.name]
        if not text:
            continue
        if task.is_map:
            files[task.name] = (path(text, task.name),)
        elif task.kind == "classification":
            values[task.name] = task.classes.index(text)
        else:
            value = number(text)
            if value is None or not np.isfinite(value):
                faults.append(f"{where}, column {task.name}: {text[:40]!a} is no number")
            else:
                values[task.name] = value
    if not row["image"]:
        faults.append(f"{where}: no image")
        return Sample(root, files, values)
    return Sample(path(row["image"], "image"), files, values)


def _readers(config: Config, tasks: Sequence[Task]) -> dict[str, Read]:
    def segmentation(count: int) -> Read:
        return lambda files: maps.classes(_numbers(files[0]), files[0], count)

    def depth(files: Sequence[Path]) -> Array:
        if files[0].suffix == ".npy":
            return maps.depth_array(files[0])
        values = maps.label_image(files[0])
        return np.where(values == 0, maps.VOID, values * config.depth_unit).astype(np.float32)

    def normals(files: Sequence[Path]) -> Array:
        return maps.normals_array(files[0]) if files[0].suffix == ".npy" else maps.normals_image(files[0])

    def binary(files: Sequence[Path]) -> Array:
        return maps.binary(_numbers(files[0]), files[0])

    others: dict[str, Read] = {"depth": depth, "normals": normals, "edges": binary, "saliency": binary}
    return {
        task.name: segmentation(task.outputs) if task.kind == "segmentation" else others[task.kind]
        for task in tasks
        if task.kind in MAPS
    }


def _numbers(path: Path) -> Array:
    return maps.plane(path) if path.suffix == ".npy" else maps.label_image(path)


def _split(
    config: Config, rows: Sequence[tuple[str, dict[str, str]]], faults: list[str]
) -> tuple[dict[str, list[int]], bool]:
    """Row numbers of each split, and whether they were drawn."""
    if "split" in rows[0][1]:
        named = [split_of(row["split"], where, faults) for where, row in rows]
        return {split: [k for k, one in enumerate(named) if one == split] for split in SPLITS}, False
    groups = [row.get("group") or f"row {k}" for k, (_, row) in enumerate(rows)]
    return split_by_group(groups, ["all"] * len(rows), config.valid, config.test, config.seed), True


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image`` and ``target_TASK``. Raises DataError with what is wrong with the options or the folder."""
    if root is None:
        return stand_in(config, scenes.TASKS[:3])
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; --data-root names the folder that holds {config.manifest}")
    if not config.tasks:
        raise DataError(
            "data.options.tasks: name the tasks, for example "
            "data.options.tasks='{road: {kind: segmentation, outputs: 2}, depth: {kind: depth}}'"
        )
    if Path(config.manifest).name != config.manifest:
        raise DataError(f"data.options.manifest: {config.manifest!a} is no file's name")
    reserved = [name for name in config.tasks if name in SPECIAL]
    if reserved:
        raise DataError(f"data.options.tasks: {reserved[0]} is a column of the manifest and no task")
    path = root / config.manifest
    rows = read_rows(path, ("image", *config.tasks))
    refuse(str(path), [] if rows else ["it has no rows"])
    faults: list[str] = []
    tasks = _declared(config, rows)
    samples = [_sample(config, root, tasks, where, row, faults) for where, row in rows]
    parts, drawn = _split(config, rows, faults)
    refuse(str(path), faults)
    size = _size(config, samples)
    chosen = {split: [samples[k] for k in numbers] for split, numbers in parts.items()}
    how = f"folder, {config.depth_unit:g}"
    return dense_source(chosen, tasks, _readers(config, tasks), size, how, progress, random_split=drawn)


def _size(config: Config, samples: Sequence[Sample]) -> tuple[int, int]:
    """Height and width: those of the options, else those of all images. Raises DataError where these differ."""
    if config.height is not None and config.width is not None:
        return config.height, config.width
    first = read_image(samples[0].image, None).shape[:2]
    for sample in samples:
        shape = read_image(sample.image, None).shape[:2]
        if shape != first:
            raise DataError(
                f"{sample.image}: {shape[1]} x {shape[0]} pixels, and {samples[0].image.name} has "
                f"{first[1]} x {first[0]}; bring all to one size with data.options.height=240 data.options.width=320"
            )
    return config.height or first[0], config.width or first[1]


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and labelled share of every task in every split."""
    return counted(load(config, root))
