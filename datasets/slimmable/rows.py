"""From image files and their maps to a Source, for all dense sets that are read from files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import cache, fingerprints
from ..core.errors import DataError, refuse
from ..core.multi_task import IMAGENET, MultiTaskInfo, Task, multi_task_source
from ..core.paths import is_file_name
from ..core.seeds import derive
from ..core.source import Source
from ..core.table import Column, Table
from ..readers.files import read_text
from ..readers.images import Array, read_image

VERSION = 1  # of what is stored; raised with every change of it
Size = tuple[int, int]  # height and width
Progress = Callable[[int, int], None] | None
Read = Callable[[Sequence[Path]], Array]  # files of a target -> the map as its image is: [H, W], normals [3, H, W]
TYPES = {"depth": np.float32, "normals": np.float32, "regression": np.float32, "classification": np.int64}


@dataclass(frozen=True)
class Sample:
    """One image: its file, and by task the files of its target (none: it has no label) or, of a task without maps, its
    value.
    """

    image: Path
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)


def placed(array: Array, size: Size, fill: float, smooth: bool = False) -> Array:
    """``array`` [..., H, W] shrunk, where it is larger than ``size``, to fit into it, then filled up on the right and
    below with ``fill``. ``smooth``: pixels are averaged; else the nearest one is taken, as labels ask for.
    """
    height, width = array.shape[-2:]
    scale = min(1.0, size[0] / height, size[1] / width)
    if scale < 1:
        new = (max(1, round(scale * height)), max(1, round(scale * width)))
        if smooth:
            from PIL import Image

            bands = [Image.fromarray(band).resize(new[::-1], Image.Resampling.BILINEAR) for band in array]
            array = np.stack([np.asarray(band) for band in bands])
        else:
            down, across = (
                ((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(new, (height, width), strict=True)
            )
            array = array[..., down[:, None], across]
        height, width = new
    out = np.full((*array.shape[:-2], *size), fill, array.dtype)
    out[..., :height, :width] = array
    return out


def dense_table(
    samples: Sequence[Sample],
    tasks: Sequence[Task],
    readers: Mapping[str, Read],
    size: Size,
    how: str,
    progress: Progress = None,
) -> Table:
    """Columns ``image`` [N, 3, H, W] uint8 and one a task, read once and mapped from the cache from then on.

    ``readers``: of each task with maps; ``how`` says what they do, for the cache. Raises DataError where a file cannot
    be read, or a map has another size than its image.
    """
    maps = [task for task in tasks if task.is_map]
    files = [path for one in samples for path in (one.image, *(p for t in maps for p in one.files.get(t.name, ())))]
    content = fingerprints.of(files, progress)
    shapes = {"image": (3, *size), **{t.name: ((3, *size) if t.kind == "normals" else size) for t in maps}}

    def build(folder: Path) -> None:
        out = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", _type(tasks, name), (len(samples), *shape))
            for name, shape in shapes.items()
        }
        faults = []
        for row, sample in enumerate(samples):
            try:
                _fill(out, row, sample, maps, readers, size)
            except DataError as error:
                faults.append(str(error))
            if progress is not None:
                progress(row + 1, len(samples))
        refuse(f"{len(samples)} images", faults)
        fingerprints.unchanged(files, content)
        for column in out.values():
            column.flush()

    digest = hashlib.sha256("".join(content).encode()).hexdigest()
    named = [[t.name, t.kind, [len(one.files.get(t.name, ())) for one in samples]] for t in maps]
    layout = cache.key_digest({"tasks": named})
    key = {"kind": "dense maps", "version": VERSION, "how": how, "size": size, "content": digest, "layout": layout}
    stored = cache.get_or_build(key, build) if samples else None
    columns: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        column = "image" if name == "image" else f"target_{name}"
        empty = np.empty((0, *shape), _type(tasks, name))
        array = empty if stored is None else np.load(stored / f"{name}.npy", mmap_mode="c")
        columns[column] = torch.from_numpy(array)
    for task in tasks:
        if not task.is_map:
            none = np.nan if task.ignore is None else task.ignore
            values = [one.values.get(task.name, none) for one in samples]
            columns[task.column] = torch.from_numpy(np.array(values, TYPES[task.kind]))
    return Table(columns)


def _type(tasks: Sequence[Task], name: str) -> Any:
    return next((TYPES.get(task.kind, np.uint8) for task in tasks if task.name == name), np.uint8)


def _fill(
    out: Mapping[str, Array], row: int, sample: Sample, maps: Sequence[Task], readers: Mapping[str, Read], size: Size
) -> None:
    image = read_image(sample.image, None)
    height, width = image.shape[:2]
    planes = image.transpose(2, 0, 1)
    for band, mean in enumerate(IMAGENET[0]):
        out["image"][row, band] = placed(planes[band : band + 1], size, round(255 * mean), smooth=True)[0]
    for task in maps:
        files = sample.files.get(task.name, ())
        if not files:
            out[task.name][row] = 255
            continue
        values = readers[task.name](files)
        if values.shape[-2:] != (height, width):
            raise DataError(
                f"{files[0]}: {values.shape[-1]} x {values.shape[-2]} pixels, and its image {sample.image.name} has "
                f"{width} x {height}: a map has the size of its image"
            )
        out[task.name][row] = placed(values, size, 255)


def kept_back(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows of training, and those kept back for validation: ``share`` of ``count``, at least one, by ``seed``. Raises
    DataError where none would be left.
    """
    n = max(1, round(share * count))
    if n >= count:
        raise DataError(f"{count} training images are too few to keep back some for validation")
    order = np.random.default_rng(derive(seed, "validation")).permutation(count)
    return sorted(order[n:].tolist()), sorted(order[:n].tolist())


def dense_source(
    parts: Mapping[str, Sequence[Sample]],
    tasks: Sequence[Task],
    readers: Mapping[str, Read],
    size: Size,
    how: str,
    progress: Progress = None,
    random_split: bool = False,
) -> Source[MultiTaskInfo]:
    """A Source of the samples of each split, with ImageNet's mean and deviation. Raises DataError as
    :func:`dense_table` and :func:`~..core.multi_task.multi_task_source`.
    """
    splits = {split: dense_table(part, tasks, readers, size, how, progress) for split, part in parts.items()}
    return multi_task_source(splits, tasks, "real", normalise=IMAGENET, random_split=random_split)


def listed(path: Path) -> list[str]:
    """Ids in a list of a split, one a line. Raises DataError where the list is missing, empty, or no list of names."""
    if not path.exists():
        raise DataError(f"{path}: missing; --data-root names the folder of the released set")
    ids = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    wrong = [
        f"{name[:40]!a} is no name of a file" for name in ids if name in (".", "..") or not is_file_name(f"{name}.ext")
    ]
    refuse(str(path), wrong or ([] if ids else ["it is empty"]))
    return ids


def missing(paths: Sequence[Path], root: Path) -> None:
    """Raise DataError with those of ``paths`` that are no files."""
    refuse(str(root), [f"{path.relative_to(root)}: missing" for path in paths if not path.is_file()])


def by_task(splits: Mapping[str, Table], tasks: Sequence[Task]) -> dict[str, Table]:
    """Splits with a column ``experience``: row k belongs to the task k mod N, and keeps the label of that task alone.

    Tasks then arrive one after another (``data.split=given``), each with rows of its own.
    """
    made = {}
    for split, table in splits.items():
        number = torch.arange(len(table)) % len(tasks)
        columns: dict[str, Column] = {**table.columns, "experience": number}
        for k, task in enumerate(tasks):
            target = table.columns[task.column]
            assert isinstance(target, torch.Tensor)
            target = target.clone()
            target[number != k] = torch.nan if task.ignore is None else task.ignore
            columns[task.column] = target
        made[split] = Table(columns)
    return made


def counted(source: Source[MultiTaskInfo]) -> dict[str, Any]:
    """Rows of every split, and of each task kind, outputs and the share of its pixels or rows that have a label."""
    tasks = source.info.tasks
    document: dict[str, Any] = {"source": source.source, "input": list(source.info.input_shape), "faults": []}
    document["tasks"] = {task.name: f"{task.kind}, {task.outputs} outputs, weight {task.weight:g}" for task in tasks}
    for split, table in source.splits.items():
        part: dict[str, Any] = {"rows": len(table)}
        for task in tasks:
            target = table.columns[task.column]
            assert isinstance(target, torch.Tensor)
            shares = [float(task.labelled(target[k : k + 64]).double().sum()) for k in range(0, len(target), 64)]
            part[task.name] = round(sum(shares) / max(1, target.numel()), 4)
        document[split] = part
    return document
