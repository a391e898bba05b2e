"""Image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
Array = npt.NDArray[Any]


def stretched(path: Path, size: int) -> Array:
    """[size, size, 3] uint8, both sides brought to ``size``. Raises DataError where there is no readable image."""
    return np.asarray(_opened(path).resize((size, size)))


def read_image(path: Path, size: int | None) -> Array:
    """[size, size, 3] uint8 (None: as it is); grey images get three equal channels. Raises DataError where there is no
    readable image.
    """
    from PIL import Image

    image = _opened(path)
    if size is None:
        return np.asarray(image)
    scale = size / min(image.size)
    width, height = (max(size, round(scale * v)) for v in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def _opened(path: Path) -> Image.Image:
    """The image in RGB, decoded."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            if opened.mode == "F" and not np.isfinite(np.asarray(opened)).all():
                raise DataError(f"{path}: pixels that are not numbers")
            return opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no readable image ({error})") from error
