"""Classification with groups (class, bias): the group matrix and what is read off it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def group_matrix(labels: Array, bias: Array, predicted: Array) -> Array:
    """``a[y, b]``: accuracy in the group (y, b), NaN where it is empty. Labels, biases and predictions are [N]
    integers.
    """
    shape = (int(labels.max()) + 1, int(bias.max()) + 1) if len(labels) else (0, 0)
    right, count = np.zeros(shape), np.zeros(shape)
    np.add.at(right, (labels, bias), predicted == labels)
    np.add.at(count, (labels, bias), 1)
    with np.errstate(invalid="ignore"):
        return right / count


def _mean(values: Array) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else math.nan


def group_metrics(
    labels: Array, bias: Array, predicted: Array, usual: Array | None = None, drifts: bool = False
) -> dict[str, float]:
    """Accuracies over rows and over groups. Measures without a row (no conflicting image, say) are left out.

    ``accuracy``: all rows (the unbiased accuracy where bias does not depend on the class); ``group_mean``: mean of
    a[y, b]; ``aligned``, ``conflict``: rows whose bias is the usual one of their class, and the others;
    ``aligned_group_mean``, ``conflict_group_mean``: the same over groups; ``worst_group``; ``gap`` = aligned -
    conflict. ``usual`` [N]: the usual bias of each row's class; None: biases are numbered like the classes and the
    usual one is the class's own. ``drifts``: it moves from one experience to the next, so that no group is aligned or
    conflicting and their means are left out.
    """
    matrix = group_matrix(labels, bias, predicted)
    right = (predicted == labels).astype(float)
    same = (labels if usual is None else usual) == bias
    aligned = group_matrix(labels, bias, np.where(same, labels, -1))  # of each group: 1, 0, NaN where it is empty
    filled = matrix[~np.isnan(matrix)]
    measures = {
        "accuracy": _mean(right),
        "group_mean": _mean(filled),
        "aligned": _mean(right[same]),
        "conflict": _mean(right[~same]),
        "aligned_group_mean": _mean(matrix[aligned == 1]),
        "conflict_group_mean": _mean(matrix[aligned == 0]),
        "worst_group": float(filled.min()) if len(filled) else math.nan,
    }
    if drifts:
        del measures["aligned_group_mean"], measures["conflict_group_mean"]
    measures["gap"] = measures["aligned"] - measures["conflict"]
    return {name: value for name, value in measures.items() if not math.isnan(value)}
