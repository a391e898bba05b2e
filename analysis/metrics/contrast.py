"""How well what two data sets share is kept apart from what only one of them has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 512  # rows of a kernel matrix at once


def joint_kernel_entropy(*codes: Array, tau: float = 0.5, block: int = BLOCK) -> float:
    """Minus the resubstitution estimate of the entropy of ``codes``, each [n, d_k], taken together, but for a constant;
    in nats: ``(1/n) Σ_i log((1/n) Σ_j Π_k exp(-||a_ki - a_kj||² / (2 τ)))``.

    It lies between -log n (all rows far apart) and 0 (all equal). Memory O(n · block). Raises ValueError for codes
    without rows. Source: Louiset et al. (ICLR 2024), joint entropy term (k-JEM), official code.
    """
    arrays = [np.asarray(code, np.float64) for code in codes]
    n = len(arrays[0])
    if not n:
        raise ValueError("codes without rows have no entropy")
    total = 0.0
    for start in range(0, n, block):
        part = slice(start, start + block)
        squares = np.zeros((len(arrays[0][part]), n))
        for array in arrays:
            for column in array.T:  # by coordinates: differences are exact where rows are alike
                squares += (column[part, None] - column) ** 2
        total += float(_log_sum_exp(-squares / (2 * tau)).sum())
    return total / n - float(np.log(n))


def kernel_mutual_information(common: Array, salient: Array, tau: float = 0.5, block: int = BLOCK) -> float:
    """Mutual information of two codes [n, d] in nats by the same kernel estimate: ``J(c, s) - J(c) - J(s)`` with ``J``
    of :func:`joint_kernel_entropy`.

    0 where the rows are all pairs of two lists; of equal codes it is their entropy at this bandwidth. Biased at finite
    n: compare values of equal n.
    """
    both = joint_kernel_entropy(common, salient, tau=tau, block=block)
    each = (joint_kernel_entropy(code, tau=tau, block=block) for code in (common, salient))
    return both - sum(each)


def _log_sum_exp(x: Array) -> Array:
    top = x.max(1)
    return np.asarray(top + np.log(np.exp(x - top[:, None]).sum(1)))


@dataclass(frozen=True)
class Cell:
    """What a probe of one attribute gets right on one space.

    ``wanted``: whether the attribute should be found there. ``score``: balanced accuracy, or the mean absolute error as
    a share of that of the training rows' median. ``ideal``: 1 or chance of an accuracy, 0 or 1 of such an error.
    ``shown``: the balanced accuracy, or the error in the attribute's unit.
    """

    attribute: str
    space: str
    wanted: bool
    score: float
    ideal: float
    shown: float

    @property
    def distance(self) -> float:
        """How far the score is from its ideal."""
        return abs(self.score - self.ideal)


def separation(cells: Sequence[Cell]) -> float:
    """Sum of the distances of ``cells`` from their ideals: 0 where every attribute is found in its own space and
    nowhere else; NaN without cells. The definition is ours (the literature has the name).
    """
    return sum(cell.distance for cell in cells) if cells else float("nan")


def classified(truth: Array, predicted: Array) -> tuple[float, float, float]:
    """Accuracy, balanced accuracy (mean over the classes that have rows) and the chance of the latter, of classes [n].

    Raises ValueError without rows.
    """
    if not len(truth):
        raise ValueError("there is no row to score")
    right = truth == predicted
    classes = np.unique(truth)
    each = [float(right[truth == c].mean()) for c in classes]
    return float(right.mean()), float(np.mean(each)), 1 / len(classes)
