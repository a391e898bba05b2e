"""Intervals of predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def conformal_radius(residuals: Sequence[float] | NDArray[np.float64], level: float) -> float | None:
    """Half the width of a split conformal interval: the k-th smallest of the |residuals| [n] of rows that were not
    trained on, ``k = ceil((n + 1) · level)``.

    A new row that is exchangeable with those lies within prediction ± radius with probability ``level`` or more.

    Returns:
        In the unit of the residuals; None where k > n: too few rows for the level.

    Raises:
        ValueError: ``level`` is not between 0 and 1.

    Source: Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018, algorithm 2.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
    sizes = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    k = math.ceil((len(sizes) + 1) * level)
    return float(sizes[k - 1]) if k <= len(sizes) else None
