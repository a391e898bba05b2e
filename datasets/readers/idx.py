"""Arrays of bytes in idx files, as MNIST is released."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from .images import Array


def read_idx(path: Path) -> Array:
    """An idx file of bytes, gzip-compressed or not. Raises DataError where it is missing, cut short or something
    else.
    """
    file = next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
    if file is None:
        raise DataError(f"{path}: missing (also as .gz)")
    try:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        zero, kind, dims = struct.unpack(">HBB", raw[:4])
        shape = struct.unpack(f">{dims}I", raw[4 : 4 + 4 * dims])
        if zero != 0 or kind != 8:
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DataError(f"{file}: no readable idx file ({error})") from error
