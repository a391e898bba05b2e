"""Preferences over tasks under which methods answer and are measured; the same for every method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EVALUATED = 20  # preferences under which a method with preference control predicts


def simplex(tasks: int, count: int = EVALUATED, seed: int = 0, concentration: float = 1.0) -> NDArray[np.float64]:
    """``count`` preferences [count, tasks], each with the sum 1, from Dirichlet(concentration, ...); with 1 they are
    uniform on the simplex. A function of these arguments alone. Raises ValueError for less than one task or preference.
    """
    if tasks < 1 or count < 1 or not concentration > 0:
        raise ValueError(f"needs tasks, preferences and a concentration; got {tasks}, {count} and {concentration}")
    return np.random.default_rng(seed).dirichlet(np.full(tasks, concentration), size=count)
