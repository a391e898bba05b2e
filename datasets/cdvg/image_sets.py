"""Image sets with a bias column: their rows, and the bias that is usual for a class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core import store
from ..core.errors import DataError
from ..core.images import image_source, image_table
from ..core.inputs import ImageInputs
from ..core.source import ImageInfo, Source
from ..core.table import Table
from ..readers.image_rows import image_rows
from ..readers.images import Array, read_image

SPLITS = ("train", "valid", "test")


def table(images: Array, labels: Array, bias: Array | None, **columns: Array) -> Table:
    """Columns ``image`` [N, 3, H, W] uint8, ``label`` and ``bias`` (None: left out) [N] int64, and those given."""
    if bias is not None:
        columns = {"bias": bias.astype(np.int64), **columns}
    return image_table(images, labels, **columns)


def majority_bias(labels: Array, bias: Array, classes: int, own: Mapping[int, int] | None = None) -> tuple[int, ...]:
    """The usual bias of every class: the one that most of its rows have; labels, bias [N].

    Ties go to the bias of the class's own name (``own``: class -> bias), then to the one with fewer rows in all, then
    to the one whose first row comes first. Nothing depends on how biases are numbered. A class without a row has -1.
    """
    usual = []
    for c in range(classes):
        values, first, count = np.unique(bias[labels == c], return_index=True, return_counts=True)
        every = (bias[:, None] == values).sum(0)
        ranked = zip(-count, values != (own or {}).get(c, -1), every, first, values, strict=True)
        usual.append(int(min(ranked, default=(-1,))[-1]))
    return tuple(usual)


def _numbers(table: Table, name: str) -> Array:
    column = table.columns[name]
    assert isinstance(column, torch.Tensor)
    return column.numpy()


def from_rows(
    rows: Mapping[str, Sequence[tuple[Path, str, str | None]]],
    size: int | None,
    progress: Callable[[int, int], None] | None = None,
    numbered: bool = False,
) -> Source[ImageInfo]:
    """A Source of (file, label, bias) by split; classes and biases are numbered in alphabetical order, equal names
    alike. Biases None: the tables have no column ``bias``.

    ``size`` None: images stay as they are. ``numbered``: the biases are the classes' by name, as in an archive whose
    bias c belongs to class c; else they may be any words, and what is usual for a class is what most of its training
    rows have (:func:`majority_bias`). Raises DataError where a split is empty, a class occurs in no training image,
    or images that stay as they are differ in size.
    """
    for split in SPLITS:
        if not rows.get(split):
            raise DataError(f"the split '{split}' holds no image")
    classes = sorted({label for _, label, _ in rows["train"]})
    unknown = sorted({label for part in rows.values() for _, label, _ in part} - set(classes))
    if unknown:
        raise DataError(f"no training image of the classes {', '.join(unknown)}")
    words = {bias for part in rows.values() for _, _, bias in part if bias is not None}
    known = all(bias is not None for part in rows.values() for _, _, bias in part)
    named = numbered or words >= set(classes)
    biases = [*classes, *sorted(words - set(classes))] if named else sorted(words)
    if size is None:
        images = _as_they_are({split: [path for path, _, _ in part] for split, part in rows.items()}, progress)
    else:
        inputs = ImageInputs(column="image", size=size)
        images = {s: image_rows([path for path, _, _ in part], inputs, progress) for s, part in rows.items()}
    splits = {}
    for split, part in rows.items():
        columns = {"label": torch.tensor([classes.index(label) for _, label, _ in part])}
        if known:
            columns["bias"] = torch.tensor([biases.index(str(bias)) for _, _, bias in part])
        splits[split] = Table({"image": images[split], **columns})
    usual: tuple[int, ...] = ()
    if known and not numbered:
        own = {c: biases.index(name) for c, name in enumerate(classes) if name in biases}
        train = splits["train"]
        usual = majority_bias(_numbers(train, "label"), _numbers(train, "bias"), len(classes), own)
    return image_source(splits, classes, "real", usual=usual, biases=biases if known else ())


def _as_they_are(
    files: Mapping[str, Sequence[Path]], progress: Callable[[int, int], None] | None
) -> dict[str, torch.Tensor]:
    """Images [N, 3, H, W] uint8 of each split, in memory. Raises DataError where they differ in size, or memory cannot
    hold them.
    """
    total, done = sum(map(len, files.values())), 0
    shape = read_image(files["train"][0], None).shape
    store.require_memory(total * math.prod(shape), f"{total} images of {shape[1]} x {shape[0]} pixels")
    made = {}
    for split, paths in files.items():
        images = np.zeros((len(paths), *shape), np.uint8)
        for k, path in enumerate(paths):
            image = read_image(path, None)
            if image.shape != shape:
                raise DataError(
                    f"{path}: {image.shape[1]} x {image.shape[0]} pixels, others have {shape[1]} x {shape[0]}"
                )
            images[k] = image
            done += 1
            if progress is not None and done % 100 == 0:
                progress(done, total)
        made[split] = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return made


def counts(source: Source[ImageInfo]) -> dict[str, Any]:
    """What ``suites data check`` says of an image set: rows and the share of aligned images of every split, and which
    bias is usual for a class.
    """
    rows: dict[str, Any] = {"source": source.source, "size": source.info.size}
    usual = np.asarray(source.info.usual)
    for split, part in source.splits.items():
        if "bias" not in part.columns:
            rows[split] = {"rows": len(part), "aligned": "no column bias"}
            continue
        own = _numbers(part, "usual") if "usual" in part.columns else usual[_numbers(part, "label")]
        rows[split] = {"rows": len(part), "aligned": round(float((own == _numbers(part, "bias")).mean()), 4)}
    if source.info.biases:
        words = source.info.biases
        rows["usual"] = {name: words[b] for name, b in zip(source.class_names, usual, strict=True)}
    return rows
