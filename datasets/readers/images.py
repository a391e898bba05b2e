"""Image files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core import limits
from ..core.errors import DataError
from ..core.inputs import ImageInputs

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # whatever the name says: others start programs
GREY = (127, 127, 127)  # beside a padded image
PIXELS = 64_000_000  # of an image, at most: about 0.8 GB while it is decoded
Array = npt.NDArray[Any]


def stretched(path: Path, size: int) -> Array:
    """[size, size, 3] uint8, both sides brought to ``size``. Raises DataError where there is no readable image."""
    return np.asarray(_opened(path).resize((size, size)))


def read_image(path: Path, size: int | None) -> Array:
    """[size, size, 3] uint8 (None: as it is); grey images get three equal channels. Raises DataError where there is no
    readable image.
    """
    image = _opened(path)
    return np.asarray(image if size is None else _cut(image, size))


def fitted(path: Path, inputs: ImageInputs) -> Array:
    """[size, size, 3] uint8 as ``inputs`` says. Raises DataError where there is no readable image, or one that is too
    small for what is cut off.
    """
    return _fitted(_opened(path), str(path), inputs)


def fitted_bytes(content: bytes, name: str, inputs: ImageInputs) -> Array:
    """As :func:`fitted`, of a file's bytes; ``name`` says in messages which it is."""
    return _fitted(_opened(io.BytesIO(content), name), name, inputs)


def _fitted(image: Image.Image, path: str, inputs: ImageInputs) -> Array:
    from PIL import Image

    (width, height), border = image.size, inputs.border
    middle = inputs.centre or 0
    least = max(2 * border + 1, middle + 2 * border)
    if min(width, height) < least:
        raise DataError(f"{path}: {width} x {height} pixels, and {least} or more are needed each way")
    image = image.crop((border, border, width - border, height - border))
    if middle:
        left, top = ((v - 2 * border - middle) // 2 for v in (width, height))
        image = image.crop((left, top, left + middle, top + middle))
    if inputs.fit == "cut":
        return np.asarray(_cut(image, inputs.size))
    if inputs.fit == "pad":
        return np.asarray(_padded(image, inputs.size))
    size = (inputs.size, inputs.size)
    return np.asarray(image.resize(size, Image.Resampling.BOX) if inputs.fit == "area" else image.resize(size))


def _cut(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image as Pillow

    scale = size / min(image.size)
    width, height = (max(size, round(scale * v)) for v in image.size)
    image = image.resize((width, height), Pillow.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _padded(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image as Pillow

    scale = size / max(image.size)
    width, height = (min(size, max(1, round(scale * v))) for v in image.size)
    whole = Pillow.new("RGB", (size, size), GREY)
    image = image.resize((width, height), Pillow.Resampling.BILINEAR)
    whole.paste(image, ((size - width) // 2, (size - height) // 2))
    return whole


def require_pixels(name: Path | str, image: Image.Image) -> None:
    """Raise DataError where an image that was opened, and is not decoded yet, has more than :data:`PIXELS`, or more
    than fit into memory.
    """
    count = image.width * image.height
    if count > PIXELS:
        raise DataError(f"{name}: {image.width} x {image.height} pixels are more than {PIXELS}")
    limits.require(12 * count, f"{name}: {image.width} x {image.height} pixels")


def _opened(path: Path | io.BytesIO, name: str = "") -> Image.Image:
    """The image in RGB, decoded; ``name`` in place of a path that is none."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as opened:
            require_pixels(name or str(path), opened)
            if opened.mode == "F" and not np.isfinite(np.asarray(opened)).all():
                raise DataError(f"{name or path}: pixels that are not numbers")
            return opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name or path}: no readable image ({error})") from error
