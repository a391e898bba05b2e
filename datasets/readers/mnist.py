"""MNIST as it is released: four idx files, compressed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import DataError
from .idx import read_idx
from .images import Array

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def find(root: Path) -> Path | None:
    """The folder of MNIST's idx files at or under the root; None where there is none."""
    for inner in ("", "mnist", "MNIST/raw", "MNIST", "raw"):
        folder = root / inner
        if any((folder / (FILES["train"][0] + end)).is_file() for end in ("", ".gz")):
            return folder
    return None


def read(root: Path, size: int | None = None) -> dict[str, tuple[Array, Array]]:
    """Grey images [N, S, S] uint8 and labels [N] int64 of train and test; ``size`` as :func:`resized` takes it. Raises
    DataError where files are missing, damaged or do not fit together.
    """
    folder = find(root)
    if folder is None:
        raise DataError(f"{root}: no {FILES['train'][0]} there; --data-root names the folder of MNIST's idx files")
    parts = {}
    for split, (images, labels) in FILES.items():
        x, y = read_idx(folder / images), read_idx(folder / labels)
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y) or (len(y) and y.max() > 9):
            raise DataError(f"{folder}: {images} and {labels} do not fit together")
        parts[split] = (resized(x, size), y.astype(np.int64))
    return parts


def resized(grey: Array, size: int | None) -> Array:
    """Images [N, 28, 28] padded with black to 32 px and averaged down to 8 or 16; 28 or None: as they are."""
    if size in (None, grey.shape[1]):
        return grey
    assert size is not None
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    k = 32 // size
    return np.round(padded.reshape(len(grey), size, k, size, k).mean((2, 4))).astype(np.uint8)
