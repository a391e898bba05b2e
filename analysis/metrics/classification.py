"""Classification: the confusion matrix and what is read off it, and how far probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BINS = 15
_LEAST = float(np.log(np.finfo(np.float64).tiny))  # of a log-probability: -708.4, so that no mean is infinite


class Confusion:
    """Rows by true and predicted class, counted batch by batch: ``matrix[y, k]`` [C, C]."""

    def __init__(self, classes: int) -> None:
        self.matrix: Array = np.zeros((classes, classes), np.int64)

    def update(self, labels: Array, predicted: Array) -> None:
        """Count a batch: class numbers [B] each. Raises ValueError where one is no class."""
        for what, numbers in (("labels", labels), ("predictions", predicted)):
            if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self.matrix):
                raise ValueError(
                    f"{what} must be class numbers 0 to {len(self.matrix) - 1}, not {numbers.min()} to {numbers.max()}"
                )
        np.add.at(self.matrix, (labels, predicted), 1)

    def recall(self) -> Array:
        """Accuracy of each class, [C]; NaN of a class without rows."""
        with np.errstate(invalid="ignore"):
            return self.matrix.diagonal() / self.matrix.sum(1)

    def measures(self) -> dict[str, float]:
        """``accuracy``: right rows over rows; ``balanced_accuracy``: mean recall of the classes that have rows;
        ``worst_class``: the lowest of them. Nothing without rows.
        """
        rows = int(self.matrix.sum())
        if not rows:
            return {}
        recall = self.recall()
        return {
            "accuracy": int(self.matrix.trace()) / rows,
            "balanced_accuracy": float(np.nanmean(recall)),
            "worst_class": float(np.nanmin(recall)),
        }


def macro_f1(matrix: Array) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN), of rows by true and predicted class [C, C]; classes that no row has
    and none is taken for are left out; NaN without rows.
    """
    right = matrix.diagonal()
    both = matrix.sum(0) + matrix.sum(1)
    there = both > 0
    return float((2 * right[there] / both[there]).mean()) if there.any() else float("nan")


class Calibration:
    """Rows by their largest probability, in ``bins`` equal intervals ((b - 1) / bins, b / bins], and the sum of
    negative log-likelihoods. Added row by row, so that batches of any size give the same sums.

    ``rows``, ``right`` (of predictions) and ``confidence`` (sum of largest probabilities), [bins] each.
    """

    def __init__(self, bins: int = BINS) -> None:
        self.rows, self.right = (np.zeros(bins, np.int64) for _ in range(2))
        self.confidence = np.zeros(bins)
        self._nll = np.zeros(1)
        self._edges = np.arange(1, bins) / bins

    def update(self, labels: Array, predicted: Array, log_probabilities: Array) -> None:
        """Take in a batch: class numbers [B] each, log-probabilities [B, C] float64."""
        top = np.exp(log_probabilities.max(1))
        index = np.searchsorted(self._edges, top, side="left")
        np.add.at(self.rows, index, 1)
        np.add.at(self.right, index, predicted == labels)
        np.add.at(self.confidence, index, top)
        np.add.at(self._nll, np.zeros_like(index), -log_probabilities[np.arange(len(labels)), labels])

    def measures(self) -> dict[str, float]:
        """``ece`` = Σ_b |right_b - confidence_b| / N, the expected calibration error; ``nll``: mean of -log p(y), in
        nats. Nothing without rows.

        Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
        """
        n = int(self.rows.sum())
        if not n:
            return {}
        return {"ece": float(np.abs(self.right - self.confidence).sum() / n), "nll": float(self._nll[0] / n)}


def log_probabilities(outputs: Mapping[str, Array], classes: int) -> Array | None:
    """Log-probabilities [B, C] float64 of what a model predicts: of ``scores`` (logits) their log-softmax, else of
    ``probabilities`` their logarithm; None where there is neither. A probability of 0 counts as 2.2e-308.

    Raises ValueError where they are not of ``classes`` classes.
    """
    name = next((name for name in ("scores", "probabilities") if name in outputs), None)
    if name is None:
        return None
    values = np.asarray(outputs[name], np.float64)
    if values.ndim != 2 or values.shape[1] != classes:
        raise ValueError(f"{name} must be [rows, {classes}], one number a class, not {list(values.shape)}")
    if name == "scores":
        logs = values - np.logaddexp.reduce(values, axis=1, keepdims=True)
    else:
        with np.errstate(divide="ignore"):
            logs = np.log(values)
    return np.maximum(logs, _LEAST)


def surprise(labels: Array, outputs: Mapping[str, Array], logs: Array | None) -> Array:
    """How wrong each row is, [B] float64: -log of the probability of its true class (``labels`` [B]) of the
    log-probabilities ``logs`` [B, C]; without them 1 where ``outputs["label"]`` is another class, else 0.
    """
    if logs is None:
        return (np.asarray(outputs["label"]) != labels).astype(np.float64)
    return -logs[np.arange(len(labels)), labels]
