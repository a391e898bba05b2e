"""Arrays in .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError


def load_array(path: Path) -> NDArray[Any]:
    """A ``.npy`` array of finite numbers. Raises DataError where it is none (pickles are refused)."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no readable .npy file ({str(error).splitlines()[0]})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataError(f"{path}: not an array of finite numbers")
    return array
