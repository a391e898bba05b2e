"""Loss and measures of one task's predictions, batch by batch: what a measurement of several tasks is made of.

Targets are stored as :mod:`holdfast.datasets.core.multi_task` says; predictions come before softmax, sigmoid or
normalisation. The losses are those of training, over the whole set: what a batch would be weighted by (the share of
positive pixels) is counted over all rows. Definitions: docs/methods/slimmable.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.multi_task import Task
from . import multi_task
from .regression import thin

Array = NDArray[Any]
EDGE_WEIGHT = 0.95  # of positive pixels in the loss of edges
CONSTANT_ROWS = 256  # training rows that the loss of a constant is worked out on


class TaskMeasure:
    """Loss and measures of the rows taken in. ``whole`` False: the loss alone."""

    def __init__(self, task: Task, whole: bool = True) -> None:
        self.task, self.whole = task, whole

    def update(self, prediction: Array, target: Array) -> None:
        """A batch: ``prediction`` [B, outputs, ...] and the stored ``target``."""
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def compute(self) -> dict[str, float]:
        """``loss`` and measures by name; NaN where no element has a label."""
        raise NotImplementedError(f"{type(self).__name__} must define compute")


class _Classes(TaskMeasure):
    """Cross-entropy in nats over the labelled pixels or rows; ``accuracy``, or of maps
    ``pixel_accuracy`` and ``miou`` (over all classes)."""

    def __init__(self, task: Task, whole: bool = True) -> None:
        super().__init__(task, whole)
        self.confusion = multi_task.Confusion(task.outputs) if task.is_map else None
        self.nll, self.right, self.count = 0.0, 0, 0

    def update(self, prediction: Array, target: Array) -> None:
        logits = np.moveaxis(np.asarray(prediction, np.float64), 1, -1)  # [B, ..., C]
        if logits.shape != (*target.shape, self.task.outputs):
            raise ValueError(_shapes(self.task, prediction, target))
        labelled = target != self.task.ignore
        logits, label = logits[labelled], target[labelled].astype(np.int64)
        if len(label):
            top = logits.max(1)
            total = top + np.log(np.exp(logits - top[:, None]).sum(1))
            self.nll += float((total - np.take_along_axis(logits, label[:, None], 1)[:, 0]).sum())
            self.right += int((logits.argmax(1) == label).sum())
            self.count += len(label)
        if self.whole and self.confusion is not None:
            self.confusion.update(logits.argmax(1), label)

    def compute(self) -> dict[str, float]:
        values = {"loss": _mean(self.nll, self.count)}
        if self.whole:
            values["pixel_accuracy" if self.task.is_map else "accuracy"] = _mean(self.right, self.count)
            if self.confusion is not None:
                values["miou"] = self.confusion.mean_iou()
        return values


class _Binary(TaskMeasure):
    """Balanced cross-entropy ``(w Σ_positive + (1 - w) Σ_negative) / pixels`` over the labelled pixels of the set; w is
    0.95 for edges, and the share of negative pixels for saliency, which also has ``max_miou`` and ``max_f``.
    """

    def __init__(self, task: Task, whole: bool = True) -> None:
        super().__init__(task, whole)
        self.sums, self.counts = np.zeros(2), np.zeros(2)  # of negative and of positive pixels
        self.overlap = multi_task.Saliency()

    def update(self, prediction: Array, target: Array) -> None:
        logits = _one_channel(self.task, prediction, target)
        labelled = target != self.task.ignore
        positive = labelled & (target == 1)
        for k, (chosen, sign) in enumerate(((labelled & ~positive, 1), (positive, -1))):
            self.sums[k] += np.logaddexp(0, sign * logits[chosen]).sum()
            self.counts[k] += chosen.sum()
        if self.whole and self.task.kind == "saliency":
            probability = np.exp(-np.logaddexp(0, -logits))
            kept = labelled.reshape(len(target), -1).any(1)  # an image without a label is none
            self.overlap.update(probability[kept], target[kept])

    def compute(self) -> dict[str, float]:
        total = self.counts.sum()
        weight = EDGE_WEIGHT if self.task.kind == "edges" else _mean(self.counts[0], total)
        values = {"loss": _mean(weight * self.sums[1] + (1 - weight) * self.sums[0], total)}
        if self.whole and self.task.kind == "saliency" and total:
            found = self.overlap.compute()
            values |= {"max_miou": found["mIoU"], "max_f": found["maxF"]}
        return values


class _Depth(TaskMeasure):
    """Mean absolute error over the labelled pixels; ``rmse``, ``log_rmse``."""

    def __init__(self, task: Task, whole: bool = True) -> None:
        super().__init__(task, whole)
        self.errors = multi_task.Depth()

    def update(self, prediction: Array, target: Array) -> None:
        self.errors.update(_one_channel(self.task, prediction, target), target)

    def compute(self) -> dict[str, float]:
        values = self.errors.compute()
        loss = {"loss": values.pop("l1")}
        return loss | values if self.whole else loss


class _Normals(TaskMeasure):
    """Mean absolute error of the labelled elements after predictions are brought to length 1; ``mean_angle`` and
    ``angle_rmse`` in degrees, ``pct_11_25``, ``pct_22_5``, ``pct_30``: per cent of the pixels within so many degrees.
    """

    def __init__(self, task: Task, whole: bool = True) -> None:
        super().__init__(task, whole)
        self.total, self.count, self.angles = 0.0, 0, multi_task.Normals()

    def update(self, prediction: Array, target: Array) -> None:
        if prediction.shape != target.shape:
            raise ValueError(_shapes(self.task, prediction, target))
        p = np.asarray(prediction, np.float64)
        p = p / (np.linalg.norm(p, axis=1, keepdims=True) + 1e-12)
        labelled = target != self.task.ignore
        self.total += float(np.abs(p - target)[labelled].sum())
        self.count += int(labelled.sum())
        if self.whole:
            self.angles.update(p, target)

    def compute(self) -> dict[str, float]:
        values = {"loss": _mean(self.total, self.count)}
        if self.whole:
            found = self.angles.compute()
            values |= {"mean_angle": found.pop("mean"), "angle_rmse": found.pop("rmse"), **found}
        return values


class _Number(TaskMeasure):
    """Mean absolute error of the rows with a label, as loss and as ``mae``."""

    def __init__(self, task: Task, whole: bool = True) -> None:
        super().__init__(task, whole)
        self.total, self.count = 0.0, 0

    def update(self, prediction: Array, target: Array) -> None:
        p, labelled = _one_channel(self.task, prediction, target), ~np.isnan(target)
        self.total += float(np.abs(p - target)[labelled].sum())
        self.count += int(labelled.sum())

    def compute(self) -> dict[str, float]:
        error = _mean(self.total, self.count)
        return {"loss": error, "mae": error} if self.whole else {"loss": error}


_OF: Mapping[str, Callable[[Task, bool], TaskMeasure]] = {
    "segmentation": _Classes,
    "classification": _Classes,
    "edges": _Binary,
    "saliency": _Binary,
    "depth": _Depth,
    "normals": _Normals,
    "regression": _Number,
}


def measure_of(task: Task, whole: bool = True) -> TaskMeasure:
    """What measures predictions of ``task``; ``whole`` False: its loss alone."""
    return _OF[task.kind](task, whole)


def constant_loss(task: Task, target: Array) -> float:
    """The smallest loss that one prediction for all rows and pixels has on the stored targets [N, ...], evenly thinned
    to at most :data:`CONSTANT_ROWS` rows: shares of the classes, the median, the mean normal. NaN without a label.
    """
    target = np.asarray(target[thin(len(target), CONSTANT_ROWS)])
    if task.kind in ("segmentation", "classification"):
        label = target[target != task.ignore].astype(np.int64)
        share = np.bincount(label, minlength=1) / max(1, len(label))
        share = share[share > 0]
        return float(-(share * np.log(share)).sum()) if len(label) else float("nan")
    if task.kind in ("edges", "saliency"):
        negative, positive = (float((target == k).sum()) for k in (0, 1))
        total = negative + positive
        weight = EDGE_WEIGHT if task.kind == "edges" else _mean(negative, total)
        parts = np.array([weight * positive, (1 - weight) * negative])
        known = parts[parts > 0]
        return float(-(known * np.log(known / parts.sum())).sum() / total) if total else float("nan")
    if task.kind == "normals":
        vectors = np.moveaxis(target, 1, -1)
        vectors = vectors[(vectors != 255).all(-1)].astype(np.float64)
        mean = vectors.sum(0) / (np.linalg.norm(vectors.sum(0)) + 1e-12)
        return float(np.abs(vectors - mean).mean()) if len(vectors) else float("nan")
    labelled = ~np.isnan(target) if task.ignore is None else target != task.ignore
    values = target[labelled].astype(np.float64)
    return float(np.abs(values - np.median(values)).mean()) if len(values) else float("nan")


def _one_channel(task: Task, prediction: Array, target: Array) -> Array:
    p = np.asarray(prediction, np.float64)
    p = p[:, 0] if p.ndim == target.ndim + 1 and p.shape[1] == 1 else p
    if p.shape != target.shape:
        raise ValueError(_shapes(task, prediction, target))
    return p


def _shapes(task: Task, prediction: Array, target: Array) -> str:
    return (
        f"the task '{task.name}' ({task.kind}, {task.outputs} outputs): predictions {list(prediction.shape)} do not "
        f"fit targets {list(target.shape)}"
    )


def _mean(total: float, count: float) -> float:
    return float(total / count) if count else float("nan")
