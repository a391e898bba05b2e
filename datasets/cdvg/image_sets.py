"""Image sets with a bias column: their rows, and the bias that is usual for a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import DataError
from ..core.images import image_source, image_table
from ..core.source import ImageInfo, Source
from ..core.table import Table
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
    total, done = sum(map(len, rows.values())), 0
    splits = {}
    shape = (size, size, 3) if size is not None else read_image(rows["train"][0][0], None).shape
    for split, part in rows.items():
        images = np.zeros((len(part), *shape), np.uint8)
        for k, (path, _, _) in enumerate(part):
            image = read_image(path, size)
            if image.shape != shape:
                raise DataError(
                    f"{path}: {image.shape[1]} x {image.shape[0]} pixels, others have {shape[1]} x {shape[0]}"
                )
            images[k] = image
            done += 1
            if progress is not None and done % 100 == 0:
                progress(done, total)
        labels = np.array([classes.index(label) for _, label, _ in part])
        bias = np.array([biases.index(str(bias)) for _, _, bias in part]) if known else None
        splits[split] = table(images, labels, bias)
    usual: tuple[int, ...] = ()
    if known and not numbered:
        own = {c: biases.index(name) for c, name in enumerate(classes) if name in biases}
        train = splits["train"]
        usual = majority_bias(_numbers(train, "label"), _numbers(train, "bias"), len(classes), own)
    return image_source(splits, classes, "real", usual=usual, biases=biases if known else ())


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
