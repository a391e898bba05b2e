"""Classification with groups (class, bias): the group matrix and what is read off it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class GroupCounts:
    """Rows and right predictions of each group (label, bias), counted batch by batch; memory does not grow with them.

    ``drifts``: the usual bias moves from one experience to the next, so that no group is aligned or conflicting, and
    the means over such groups are left out.
    """

    def __init__(self, drifts: bool = False) -> None:
        self.drifts = drifts
        self.rows, self.right, self.usual, self.usual_right = (np.zeros((0, 0), np.int64) for _ in range(4))

    def update(self, labels: Array, bias: Array, predicted: Array, usual: Array) -> None:
        """Count a batch: labels, biases, predictions and the usual bias of each row's class, [B] integers each."""
        if not len(labels):
            return
        shape = max(int(labels.max()) + 1, self.rows.shape[0]), max(int(bias.max()) + 1, self.rows.shape[1])
        right, same = predicted == labels, usual == bias
        for name, chosen in (("rows", None), ("right", right), ("usual", same), ("usual_right", same & right)):
            counts = np.zeros(shape, np.int64)
            before = getattr(self, name)
            counts[: before.shape[0], : before.shape[1]] = before
            np.add.at(counts, (labels, bias), 1 if chosen is None else chosen)
            setattr(self, name, counts)

    def by_class(self) -> Array:
        """Accuracy of each class over its biases, [C]; NaN of a class without rows."""
        with np.errstate(invalid="ignore"):
            return self.right.sum(1) / self.rows.sum(1)

    def adjusted(self, training: Array) -> float:
        """``Σ_g n_g a_g / Σ_g n_g`` over the groups g = (y, b) that have rows here: accuracies of the groups in the
        proportions of ``training`` [C, B], rows of each group in training. NaN where no group of training has rows.

        Source: Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, ICLR 2020, section 3.1: average
        accuracy on a test set whose groups are balanced otherwise than those of training.
        """
        weights = np.zeros(self.rows.shape)
        height, width = (min(ours, theirs) for ours, theirs in zip(weights.shape, training.shape, strict=True))
        weights[:height, :width] = training[:height, :width]
        weights[self.rows == 0] = 0
        if not weights.sum():
            return math.nan
        return float((weights * np.nan_to_num(self.matrix())).sum() / weights.sum())

    def matrix(self) -> Array:
        """``a[y, b]``: accuracy in the group (y, b), NaN where it is empty."""
        with np.errstate(invalid="ignore"):
            return self.right / self.rows

    def measures(self) -> dict[str, float]:
        """:func:`group_metrics` of the rows counted."""
        matrix = self.matrix()
        filled = matrix[~np.isnan(matrix)]
        classes = self.by_class()
        classes = classes[~np.isnan(classes)]
        rows, right, usual, usual_right = (int(counts.sum()) for counts in self._counts)
        measures = {
            "accuracy": _share(right, rows),
            "group_mean": _mean(filled),
            "aligned": _share(usual_right, usual),
            "conflict": _share(right - usual_right, rows - usual),
            "aligned_group_mean": _mean(matrix[(self.usual == self.rows) & (self.rows > 0)]),
            "conflict_group_mean": _mean(matrix[(self.usual == 0) & (self.rows > 0)]),
            "worst_group": float(filled.min()) if len(filled) else math.nan,
            "balanced_accuracy": _mean(classes),
            "worst_class": float(classes.min()) if len(classes) else math.nan,
        }
        if self.drifts:
            del measures["aligned_group_mean"], measures["conflict_group_mean"]
        measures["gap"] = measures["aligned"] - measures["conflict"]
        return {name: value for name, value in measures.items() if not math.isnan(value)}

    @property
    def _counts(self) -> tuple[Array, Array, Array, Array]:
        return self.rows, self.right, self.usual, self.usual_right


def group_matrix(labels: Array, bias: Array, predicted: Array) -> Array:
    """``a[y, b]``: accuracy in the group (y, b), NaN where it is empty. Labels, biases and predictions are [N]
    integers.
    """
    counts = GroupCounts()
    counts.update(labels, bias, predicted, bias)
    return counts.matrix()


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: Array) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else math.nan


def group_metrics(
    labels: Array, bias: Array, predicted: Array, usual: Array | None = None, drifts: bool = False
) -> dict[str, float]:
    """Accuracies over rows and over groups. Measures without a row (no conflicting image, say) are left out.

    ``accuracy``: all rows (the unbiased accuracy where bias does not depend on the class); ``group_mean``: mean of
    a[y, b]; ``aligned``, ``conflict``: rows whose bias is the usual one of their class, and the others;
    ``aligned_group_mean``, ``conflict_group_mean``: the same over groups; ``worst_group``; ``balanced_accuracy`` and
    ``worst_class``: mean and least accuracy of the classes, whatever the bias; ``gap`` = aligned - conflict. ``usual``
    [N]: the usual bias of each row's class; None: biases are numbered like the classes and the usual one is the class's
    own. ``drifts``: it moves from one experience to the next, so that no group is aligned or conflicting and their
    means are left out.
    """
    counts = GroupCounts(drifts)
    counts.update(labels, bias, predicted, labels if usual is None else usual)
    return counts.measures()
