"""The Source of an image set: which rows are train, valid and test, its table, sizes and checksum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .checksums import Part, checksum
from .errors import DataError
from .inputs import ImageInputs
from .source import Colours, ImageInfo, Source
from .table import Table

Array = npt.NDArray[Any]


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


def image_table(images: Array, labels: Array, **columns: Array) -> Table:
    """Columns ``image`` [N, 3, H, W] uint8 of images [N, H, W, 3], ``label`` [N] int64, and those given."""
    return Table(
        {
            "image": torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            "label": torch.from_numpy(labels.astype(np.int64)),
            **{name: torch.from_numpy(np.array(value)) for name, value in columns.items()},
        }
    )


def image_source(
    splits: Mapping[str, Table],
    class_names: Sequence[str],
    source: str,
    *,
    usual: Sequence[int] = (),
    biases: Sequence[str] = (),
    colours: Colours | None = None,
    random_split: bool | None = None,
) -> Source[ImageInfo]:
    """A Source with the checksum of all its columns, classes and sizes read off them; the rest as in
    :class:`~holdfast.datasets.core.source.ImageInfo`. ``random_split`` None: that of a stand-in, since all stand-ins
    of images are splits of scikit-learn's digits by their seed. Raises DataError where training holds one class only,
    or an image is not square.
    """
    train = splits["train"]
    labels = train.columns["label"]
    assert isinstance(labels, torch.Tensor)
    classes = set(labels.tolist())
    if len(classes) < 2:
        raise DataError(f"the training images hold {len(classes)} class; a classifier needs two or more")
    parts: list[Part] = []
    for name in sorted(splits):
        for column in sorted(splits[name].columns):
            value = splits[name].columns[column]
            assert isinstance(value, torch.Tensor)
            parts.append((f"{name}/{column}/{tuple(value.shape)}", value))
    image = train.columns["image"]
    assert isinstance(image, torch.Tensor)
    _, channels, height, width = image.shape
    if height != width:
        raise DataError(f"images must be square, these are {height} x {width}")
    return Source(
        random_split=source == "stand-in" if random_split is None else random_split,
        splits=dict(splits),
        class_names=list(class_names),
        info=ImageInfo(
            classes=len(class_names),
            channels=channels,
            size=height,
            usual=tuple(usual),
            biases=tuple(biases),
            colours=colours,
            inputs=ImageInputs(column="image", size=height, channels=channels),
        ),
        source=source,
        checksum=checksum(parts),
    )
