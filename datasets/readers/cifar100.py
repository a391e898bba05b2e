"""CIFAR-100 in the layout of its Python archive: the pickles ``train``, ``test`` and ``meta``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.errors import DataError
from .cifar import numbered_images, unpickled
from .images import Array

FOLDER = "cifar-100-python"
FINE, COARSE = 100, 20


class Cifar100(NamedTuple):
    """By split (train, test) images [N, 32, 32, 3] uint8, fine and coarse classes [N] int64; and names."""

    images: dict[str, Array]
    fine: dict[str, Array]
    coarse: dict[str, Array]
    fine_names: tuple[str, ...]
    coarse_names: tuple[str, ...]


def read(root: Path) -> Cifar100:
    """The set at or under ``root``. Raises DataError where a file is missing or damaged, or its parts do not fit."""
    folder = next((f for f in (root, root / FOLDER, root / "cifar100" / FOLDER) if (f / "meta").is_file()), None)
    if folder is None:
        raise DataError(f"{root}: no {FOLDER}/meta there; --data-root names the folder of {FOLDER}")
    meta = unpickled(folder / "meta", ("fine_label_names", "coarse_label_names"))
    names = [
        _names(folder / "meta", meta[field], count)
        for field, count in (("fine_label_names", FINE), ("coarse_label_names", COARSE))
    ]
    images, fine, coarse = {}, {}, {}
    for split in ("train", "test"):
        path = folder / split
        if not path.is_file():
            raise DataError(f"{path}: missing")
        values = unpickled(path, ("data", "fine_labels", "coarse_labels"))
        images[split], fine[split] = numbered_images(path, values["data"], values["fine_labels"], FINE)
        coarse[split] = numbered_images(path, values["data"], values["coarse_labels"], COARSE)[1]
    return Cifar100(images, fine, coarse, names[0], names[1])


def _names(path: Path, names: object, count: int) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, bytes | str) for name in names):
        raise DataError(f"{path}: no list of {count} names")
    return tuple(name.decode("latin1") if isinstance(name, bytes) else name for name in names)


def within_superclass(fine: Array, coarse: Array) -> Array:
    """Rank of each row's fine class among those of its superclass, in ascending order, [N] int64; both [N].

    Raises DataError where a fine class belongs to two superclasses.
    """
    rank = np.zeros(len(fine), np.int64)
    for number in np.unique(coarse):
        rows = coarse == number
        rank[rows] = np.unique(fine[rows], return_inverse=True)[1]
    pairs = np.unique(np.stack([fine, coarse]), axis=1)
    twice = np.flatnonzero(np.bincount(pairs[0]) > 1)
    if len(twice):
        raise DataError(f"the fine class {twice[0]} belongs to two superclasses")
    return rank
