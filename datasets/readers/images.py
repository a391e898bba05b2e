"""Image files and idx files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError

Array = npt.NDArray[Any]


def read_idx(path: Path) -> Array:
    """An idx file of bytes, gzip-compressed or not. Raises DataError where it is missing, cut short or something else."""
    found = next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
    if found is None:
        raise DataError(f"{path}: missing (also as .gz)")
    try:
        raw = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
        zero, kind, dims = struct.unpack(">HBB", raw[:4])
        shape = struct.unpack(f">{dims}I", raw[4 : 4 + 4 * dims])
        if zero != 0 or kind != 8:
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DataError(f"{found}: no readable idx file ({error})") from error


def read_image(path: Path, size: int | None) -> Array:
    """[size, size, 3] uint8 (None: as it is); grey images get three equal channels. Raises DataError where there is no readable image."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            if opened.mode == "F" and not np.isfinite(np.asarray(opened)).all():
                raise DataError(f"{path}: pixels that are not numbers")
            image = opened.convert("RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable image ({error})") from error
    if size is None:
        return np.asarray(image)
    scale = size / min(image.size)
    width, height = (max(size, round(scale * v)) for v in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))
