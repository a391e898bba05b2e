"""Arrays in .npy files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import limits
from ..core.errors import DataError


def load_array(path: Path) -> NDArray[Any]:
    """A ``.npy`` array of finite numbers. Raises DataError where it is none (pickles are refused), and before it is
    read where its header promises more than the file holds or memory may take.
    """
    try:
        size = _promised(path)
        limits.require(2 * size, f"{path}: an array of {size} bytes")
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no readable .npy file ({str(error).splitlines()[0]})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataError(f"{path}: not an array of finite numbers")
    return array


def _promised(path: Path) -> int:
    """Bytes of the values that the header of a ``.npy`` file promises. Raises ValueError or OSError where the file is
    none, or does not hold them.
    """
    if path.exists() and not path.is_file():
        raise OSError("no regular file")
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        size, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    if size > held and not dtype.hasobject:
        raise ValueError(f"its header promises {size} bytes of values, and it holds {held}")
    return size
