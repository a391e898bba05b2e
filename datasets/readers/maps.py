"""Maps of one value (or vector) a pixel: label images, arrays, MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .arrays import load_array
from .images import FORMATS, Array, require_pixels

VOID = 255


def label_image(path: Path) -> Array:
    """[H, W] numbers of an image of one band: of a palette the numbers, not the colours; 8 or 16 bits. Raises DataError
    for anything else.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as opened:
            mode = opened.mode
            require_pixels(path, opened)
            values = np.asarray(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no readable image ({error})") from error
    if mode not in ("P", "L", "1", "I", "I;16", "I;16B") or values.ndim != 2:
        raise DataError(f"{path}: an image with the bands {mode}; a map has one band (grey or palette)")
    return values.astype(np.int64)


def classes(values: Array, path: Path, count: int) -> Array:
    """``values`` as numbers of ``count`` classes, [H, W] uint8 with 255 for none. Raises DataError for others."""
    wrong = (values != VOID) & ((values < 0) | (values >= count))
    if wrong.any():
        found = values[wrong][0]
        raise DataError(f"{path}: the value {found:g}, and classes are 0 to {count - 1} (255: none)")
    return values.astype(np.uint8)


def plane(path: Path) -> Array:
    """[H, W] of a .npy array of finite numbers. Raises DataError for another shape."""
    array = load_array(path)
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if array.ndim != 2:
        raise DataError(f"{path}: {list(array.shape)} is no map [height, width]")
    return array


def unit_normals(vectors: Array) -> Array:
    """[3, H, W] float32 unit vectors of ``vectors`` [H, W, 3]; 255 where a vector is zero."""
    planes = np.moveaxis(vectors.astype(np.float64), -1, 0)
    length = np.sqrt((planes**2).sum(0))
    known = length > 1e-6
    return np.where(known, planes / np.where(known, length, 1.0), VOID).astype(np.float32)


def normals_array(path: Path) -> Array:
    """:func:`unit_normals` of a .npy array [H, W, 3]. Raises DataError for another shape."""
    array = load_array(path)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise DataError(f"{path}: {list(array.shape)} is no map of normals [height, width, 3]")
    return unit_normals(array)


def normals_image(path: Path) -> Array:
    """:func:`unit_normals` of a colour image: v = 2 p / 255 - 1 of each band's byte p; grey 127 and 128 are zero."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.mode not in ("RGB", "RGBA"):
                raise DataError(f"{path}: an image with the bands {opened.mode}; normals have three colours")
            require_pixels(path, opened)
            pixels = np.asarray(opened.convert("RGB")).astype(np.float64)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no readable image ({error})") from error
    vectors = 2 * pixels / 255 - 1
    vectors[(np.abs(vectors) < 1.5 / 255).all(-1)] = 0
    return unit_normals(vectors)


def depth_array(path: Path) -> Array:
    """[H, W] float32 in the file's unit; 255 where it is 0. Raises DataError where one is negative."""
    array = plane(path).astype(np.float32)
    if (array < 0).any():
        raise DataError(f"{path}: a depth below 0")
    return np.where(array == 0, np.float32(VOID), array)


def binary(values: Array, path: Path) -> Array:
    """[H, W] uint8: 1 where ``values`` are at least half of what a pixel can have (bytes: 255, else 1). Raises
    DataError for numbers below 0.
    """
    if values.size and values.min() < 0:
        raise DataError(f"{path}: a value below 0")
    most = 255 if values.size and values.max() > 1 else 1
    return (values >= most / 2).astype(np.uint8)


def matlab(path: Path, field: str) -> Any:
    """The variable ``field`` of a .mat file (up to version 7). Raises DataError where there is none."""
    from scipy.io import loadmat

    try:
        document = loadmat(path, squeeze_me=True, struct_as_record=False, variable_names=(field,))
    except Exception as error:  # a damaged file raises almost anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{path}: no readable .mat file ({reason})") from error
    if field not in document:
        raise DataError(f"{path}: no variable {field}")
    return document[field]


def borders(labels: Array) -> Array:
    """[H, W] uint8: lines one pixel wide along the borders of the regions of ``labels`` [H, W]: the pixels where the
    Laplacian of the labels is not 0, thinned (:func:`thinned`).
    """
    from scipy.ndimage import laplace

    return thinned(laplace(labels.astype(np.float64), mode="mirror") != 0).astype(np.uint8)


def thinned(mask: Array) -> Array:
    """``mask`` [H, W] reduced to lines one pixel wide with the same connections (Zhang and Suen, A fast parallel
    algorithm for thinning digital patterns, Communications of the ACM 1984).
    """
    image = np.pad(np.asarray(mask, bool), 1)
    while True:
        changed = False
        for first in (True, False):
            p = [image[1 + dy : image.shape[0] - 1 + dy, 1 + dx : image.shape[1] - 1 + dx] for dy, dx in _ROUND]
            count = sum(one.astype(np.int64) for one in p)
            turns = sum((~a & b).astype(np.int64) for a, b in zip(p, [*p[1:], p[0]], strict=True))
            north, east, south, west = p[0], p[2], p[4], p[6]
            gone = image[1:-1, 1:-1] & (count >= 2) & (count <= 6) & (turns == 1)
            gone &= ~((north & east & south) if first else (north & east & west))
            gone &= ~((east & south & west) if first else (north & south & west))
            if gone.any():
                image[1:-1, 1:-1] &= ~gone
                changed = True
        if not changed:
            return image[1:-1, 1:-1]


_ROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # from the north, clockwise
