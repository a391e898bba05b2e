"""CIFAR-10 in both released layouts: Python batches and binary files."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .files import read_bytes
from .images import Array

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = 5
_PIXELS = 3 * 32 * 32


class _Unpickler(pickle.Unpickler):
    """Admits arrays besides what needs no import (dict, list, str, bytes, numbers): a batch is a pickle, and a pickle
    can run code.
    """

    _ADMITTED: Mapping[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        **{(f"numpy.{core}.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0] for core in ("core", "_core")},
        ("_codecs", "encode"): lambda text, coding="latin1": str(text).encode("latin1"),
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of CIFAR needs") from None


def find(root: Path) -> Path | None:
    """The folder of batches at or under the root: Python batches before binary ones."""
    inner = ("", "cifar-10-batches-py", "cifar-10-batches-bin", "cifar10", "CIFAR10", "cifar-10")
    folders = [root / name for name in inner]
    folders += [root / outer / name for outer in inner[3:] for name in inner[1:3]]
    return next(
        (
            folder
            for folder in folders
            if any((folder / f"test_batch{end}").is_file() for end in ("", ".bin"))
            or any((folder / f"data_batch_1{end}").is_file() for end in ("", ".bin"))
        ),
        None,
    )


def read(folder: Path) -> dict[str, tuple[Array, Array]]:
    """Images [N, 32, 32, 3] uint8 and labels [N] int64 of train (the batches 1, 2, ... that are there, in order) and
    test.

    Fewer than five batches are taken with a warning. Raises DataError for a missing or damaged batch.
    """
    end = "" if any((folder / name).is_file() for name in ("data_batch_1", "test_batch")) else ".bin"
    one = _binary if end else _python
    there = [k for k in range(1, BATCHES + 1) if (folder / f"data_batch_{k}{end}").is_file()]
    missing = [f"data_batch_{k}{end}" for k in range(1, max(there, default=1) + 1) if k not in there]
    missing += [] if (folder / f"test_batch{end}").is_file() else [f"test_batch{end}"]
    if missing:
        raise DataError(f"{folder}: missing: {', '.join(missing)}")
    if len(there) < BATCHES:
        warnings.warn(f"{folder}: {len(there)} of CIFAR-10's {BATCHES} training batches are there", stacklevel=2)
    parts = [one(folder / f"data_batch_{k}{end}") for k in there]
    return {
        "train": (np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])),
        "test": one(folder / f"test_batch{end}"),
    }


def unpickled(path: Path, fields: Sequence[str]) -> dict[str, Any]:
    """The dictionary of a pickle that holds arrays, lists, text and numbers alone, its keys as text; it has the
    ``fields``. Raises DataError for any other file.
    """
    raw = read_bytes(path)
    try:
        document = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises almost anything
        raise DataError(f"{path}: no readable batch ({error})") from error
    if not isinstance(document, dict):
        raise DataError(f"{path}: a batch is a dictionary, not {type(document).__name__}")
    values = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in document.items()}
    absent = [name for name in fields if name not in values]
    if absent:
        raise DataError(f"{path}: no field {' and '.join(absent)}")
    return values


def _python(path: Path) -> tuple[Array, Array]:
    values = unpickled(path, ("data", "labels"))
    return numbered_images(path, values["data"], values["labels"], len(CLASSES))


def _binary(path: Path) -> tuple[Array, Array]:
    raw = np.frombuffer(read_bytes(path), np.uint8)
    if len(raw) == 0 or len(raw) % (1 + _PIXELS):
        raise DataError(
            f"{path}: {len(raw)} bytes are no whole number of images ({1 + _PIXELS} bytes each): cut short?"
        )
    rows = raw.reshape(-1, 1 + _PIXELS)
    return numbered_images(path, rows[:, 1:], rows[:, 0], len(CLASSES))


def numbered_images(path: Path, data: Any, labels: Any, classes: int) -> tuple[Array, Array]:
    """Planes [N, 3072] uint8 as [N, 32, 32, 3], and the labels, 0 to ``classes`` - 1, [N] int64.

    Raises DataError, which names the file ``path``, where they are anything else or do not fit.
    """
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (_PIXELS,):
        what = f"{list(data.shape)} {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{path}: data must be [N, {_PIXELS}] uint8, not {what}")
    try:
        y = np.asarray(labels)
    except ValueError:
        y = np.empty(0)
    if y.dtype.kind not in "iu" or y.shape != (len(data),):
        raise DataError(f"{path}: {len(data)} images, but no list of as many class numbers")
    if len(y) and not 0 <= y.min() <= y.max() < classes:
        raise DataError(f"{path}: classes must lie in 0..{classes - 1}, found {y.min()} to {y.max()}")
    images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), y.astype(np.int64)
