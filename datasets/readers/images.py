"""Image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
Array = npt.NDArray[Any]


def read_image(path: Path, size: int | None) -> Array:
    """[size, size, 3] uint8 (None: as it is); grey images get three equal channels. Raises DataError where there is no
    readable image.
    """
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
