"""The Source of an image set with a bias column: rows, splits, usual bias."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import DataError
from ..core.source import Colours, ImageInfo, Source
from ..core.table import Table
from ..readers.images import Array, read_image

SPLITS = ("train", "valid", "test")


def cut(
    parts: Mapping[str, tuple[Array, ...]], n_train: int | None, n_valid: int, n_test: int | None
) -> dict[str, tuple[Array, ...]]:
    """The arrays of train (its first ``n_train`` rows; None: all but the validation's), valid (its last ``n_valid``)
    and test (its first ``n_test``).

    Raises DataError where there are too few rows.
    """
    count = len(parts["train"][0])
    stop = count - n_valid
    if (n_train or 1) > stop:
        raise DataError(
            f"data.options.n_train + n_valid = {(n_train or 1) + n_valid}, but there are {count} training images"
        )
    return {
        "train": tuple(a[: n_train or stop] for a in parts["train"]),
        "valid": tuple(a[stop:] for a in parts["train"]),
        "test": tuple(a[:n_test] for a in parts["test"]),
    }


def table(images: Array, labels: Array, bias: Array | None, **columns: Array) -> Table:
    """Columns ``image`` [N, 3, H, W] uint8, ``label`` and ``bias`` (None: left out) [N] int64, and those given."""
    if bias is not None:
        columns = {"bias": bias.astype(np.int64), **columns}
    extra = {name: torch.from_numpy(np.array(value)) for name, value in columns.items()}
    return Table(
        {
            "image": torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            "label": torch.from_numpy(labels.astype(np.int64)),
            **extra,
        }
    )


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


def image_source(
    splits: Mapping[str, Table],
    class_names: Sequence[str],
    source: str,
    *,
    usual: Sequence[int] = (),
    biases: Sequence[str] = (),
    colours: Colours | None = None,
) -> Source[ImageInfo]:
    """A Source with the checksum of all its columns, classes and sizes read off them; the rest as in
    :class:`~holdfast.datasets.core.source.ImageInfo`. Raises DataError where training holds one class only, or an image
    is not square.
    """
    train = splits["train"]
    labels = train.columns["label"]
    assert isinstance(labels, torch.Tensor)
    classes = set(labels.tolist())
    if len(classes) < 2:
        raise DataError(f"the training images hold {len(classes)} class; a classifier needs two or more")
    digest = hashlib.sha256()
    for name in sorted(splits):
        for column in sorted(splits[name].columns):
            value = splits[name].columns[column]
            assert isinstance(value, torch.Tensor)
            digest.update(f"{name}/{column}/{tuple(value.shape)}".encode())
            digest.update(value.contiguous().numpy().tobytes())
    image = train.columns["image"]
    assert isinstance(image, torch.Tensor)
    _, channels, height, width = image.shape
    if height != width:
        raise DataError(f"images must be square, these are {height} x {width}")
    return Source(
        random_split=source == "stand-in",  # all stand-ins of images are splits of scikit-learn's digits by their seed
        splits=dict(splits),
        class_names=list(class_names),
        info=ImageInfo(
            classes=len(class_names),
            channels=channels,
            size=height,
            usual=tuple(usual),
            biases=tuple(biases),
            colours=colours,
        ),
        source=source,
        checksum=digest.hexdigest(),
    )


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
