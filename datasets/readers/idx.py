"""Arrays of bytes in idx files, as MNIST is released."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ..core import limits
from ..core.errors import DataError
from .images import Array


def read_idx(path: Path) -> Array:
    """An idx file of bytes, gzip-compressed or not. Raises DataError where it is missing, cut short or something
    else, and before it is read where its header promises more than memory may take.
    """
    file = next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
    if file is None:
        raise DataError(f"{path}: missing (also as .gz)")
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            zero, kind, dims = struct.unpack(">HBB", opened.read(4))
            if zero != 0 or kind != 8 or dims == 0:
                raise ValueError("not an idx file of bytes")
            shape = struct.unpack(f">{dims}I", opened.read(4 * dims))
            size, begin = math.prod(shape), opened.tell()
            limits.require(2 * size, f"{file}: an array of {size} bytes")
            if file.suffix != ".gz" and file.stat().st_size - begin != size:
                raise ValueError(f"its header promises {size} bytes, and it holds {file.stat().st_size - begin}")
            raw = opened.read(size + 1)
        if len(raw) != size:
            raise ValueError(
                f"its header promises {size} bytes, and it holds {'more' if len(raw) > size else len(raw)}"
            )
        return np.frombuffer(raw, np.uint8).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{file}: no readable idx file ({error})") from error
