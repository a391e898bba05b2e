"""Measures of several tasks at once: dense predictions, change against single tasks, preference and Pareto fronts.

Arrays in, numbers out. Pixels whose label is 255 are invalid everywhere and count nowhere. The classes (``Confusion``,
``Normals``, ``Depth``, ``Saliency``) take a set in batch by batch and keep sums alone; a set without a valid pixel
gives NaN. Definitions are those of docs/methods/slimmable.md, "Metrics".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .regression import correlation

Array = NDArray[np.float64]
IGNORE = 255
THRESHOLDS = np.linspace(0.2, 0.9, 15)  # of a saliency map's probability
ANGLES = (11.25, 22.5, 30.0)  # degrees below which a normal counts as right


@dataclass
class Confusion:
    """Pixels of each (true class, predicted class), [C, C], of segmentation with ``classes`` classes."""

    classes: int
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.classes, self.classes), dtype=np.int64)

    def update(self, prediction: ArrayLike, label: ArrayLike) -> None:
        """Class numbers of any one shape. Raises ValueError for another shape or a class that does not exist."""
        p, y = _alike(prediction, label)
        valid = y != IGNORE
        p, y = p[valid].astype(np.int64), y[valid].astype(np.int64)
        if len(p) and (min(p.min(), y.min()) < 0 or max(p.max(), y.max()) >= self.classes):
            raise ValueError(f"classes are 0 to {self.classes - 1} and {IGNORE} (invalid) in labels")
        self.counts += np.bincount(y * self.classes + p, minlength=self.classes**2).reshape(self.counts.shape)

    def iou(self) -> Array:
        """TP / (TP + FP + FN) of every class, [C]; 0 for a class that neither labels nor predictions have."""
        hit = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        return np.asarray(hit / np.maximum(union, 1), dtype=np.float64)

    def mean_iou(self, present_only: bool = False) -> float:
        """Mean of :meth:`iou` over all classes, or over those that occur in labels or predictions."""
        if not self.counts.sum():
            return float("nan")
        occurs = (self.counts.sum(0) + self.counts.sum(1)) > 0
        return float(self.iou()[occurs].mean() if present_only else self.iou().mean())

    def accuracy(self) -> float:
        """Share of the valid pixels (or rows) with the right class."""
        total = self.counts.sum()
        return float(np.diag(self.counts).sum() / total) if total else float("nan")


def angles(prediction: ArrayLike, label: ArrayLike) -> Array:
    """Degrees between predicted normals [B, 3, ...], of any length, and unit normals of the same shape, at pixels of
    which all three label elements are valid; [valid pixels].
    """
    p, y = _alike(prediction, label)
    length = np.linalg.norm(p, axis=1, keepdims=True)
    cosine = (p / (length + 1e-12) * y).sum(1)[(y != IGNORE).all(1)]
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@dataclass
class Normals:
    """Surface normals: ``mean`` and ``rmse`` of the angles in degrees, and per cent of the pixels below each of
    ``ANGLES`` as ``pct_11_25``, ``pct_22_5``, ``pct_30``.
    """

    pixels: int = 0
    total: float = 0.0
    squares: float = 0.0
    below: Array = field(default_factory=lambda: np.zeros(len(ANGLES)))

    def update(self, prediction: ArrayLike, label: ArrayLike) -> None:
        """As :func:`angles`."""
        found = angles(prediction, label)
        self.pixels += len(found)
        self.total += float(found.sum())
        self.squares += float((found**2).sum())
        self.below += [(found < limit).sum() for limit in ANGLES]

    def compute(self) -> dict[str, float]:
        n = self.pixels or float("nan")
        names = [f"pct_{angle:g}".replace(".", "_") for angle in ANGLES]
        shares = {name: float(100 * count / n) for name, count in zip(names, self.below, strict=True)}
        return {"mean": self.total / n, "rmse": (self.squares / n) ** 0.5, **shares}


@dataclass
class Depth:
    """Depth maps: ``rmse`` in the labels' unit, ``log_rmse`` of natural logarithms (predictions below 1e-9 count as
    that), ``l1``; over the pixels of the whole set.
    """

    pixels: int = 0
    squares: float = 0.0
    log_squares: float = 0.0
    total: float = 0.0

    def update(self, prediction: ArrayLike, label: ArrayLike) -> None:
        """Maps of one shape; valid labels are positive."""
        p, y = _alike(prediction, label)
        valid = y != IGNORE
        p, y = p[valid], y[valid]
        if len(y) and y.min() <= 0:
            raise ValueError(f"a valid depth is positive ({IGNORE} marks an invalid one); found {y.min():g}")
        self.pixels += len(y)
        # as released, the clamp holds for both measures: a negative depth does not exist
        q = np.maximum(p, 1e-9)
        self.squares += float(((q - y) ** 2).sum())
        self.log_squares += float(((np.log(q) - np.log(y)) ** 2).sum())
        self.total += float(np.abs(p - y).sum())

    def compute(self) -> dict[str, float]:
        n = self.pixels or float("nan")
        return {
            "rmse": (self.squares / n) ** 0.5,
            "log_rmse": (self.log_squares / n) ** 0.5,
            "l1": self.total / n,
        }


@dataclass
class Saliency:
    """Binary maps: at each of ``THRESHOLDS`` the IoU, precision and recall of ``probability > threshold``, averaged
    over images. ``mIoU`` is the largest IoU, ``maxF`` the largest F = 2 P R / (P + R + 1e-12) of those averages.

    An image without positives in label and prediction has the IoU 1; without predicted positives the precision 0,
    without true ones the recall 0.
    """

    images: int = 0
    sums: Array = field(default_factory=lambda: np.zeros((3, len(THRESHOLDS))))

    def update(self, probability: ArrayLike, label: ArrayLike) -> None:
        """Probabilities and labels [B, ...] (positive from 0.5 on)."""
        p, y = _alike(probability, label)
        for image, truth in zip(p, y, strict=True):
            valid = truth != IGNORE
            chosen = image[valid][None] > THRESHOLDS[:, None]
            true = truth[valid][None] >= 0.5
            hit, predicted, positive = (chosen & true).sum(1), chosen.sum(1), true.sum()
            union = predicted + positive - hit
            self.sums += [
                np.where(union > 0, hit / np.maximum(union, 1), 1.0),
                hit / np.maximum(predicted, 1),
                hit / max(positive, 1),
            ]
            self.images += 1

    def curves(self) -> tuple[Array, Array]:
        """IoU and F at each threshold."""
        iou, precision, recall = self.sums / (self.images or float("nan"))
        return iou, 2 * precision * recall / (precision + recall + 1e-12)

    def compute(self) -> dict[str, float]:
        iou, f = self.curves()
        return {"mIoU": float(iou.max()), "maxF": float(f.max())}


def delta_m(values: Mapping[str, float], single: Mapping[str, float], higher_is_better: Mapping[str, bool]) -> float:
    """Mean relative change against single-task results, positive where the tasks are better together:
    ``Δ_m = (1/N) Σ_i (-1)^{g_i} (M_i - S_i) / S_i``, g_i = 1 where lower is better (a share, not per cent).

    Args:
        values, single: M_i and S_i by task; ``higher_is_better``: of the same tasks.

    Raises:
        ValueError: the tasks differ, there is none, or a single-task result is 0.
    """
    if not values or not (values.keys() == single.keys() == higher_is_better.keys()):
        raise ValueError(f"one result of each task is needed twice; got {sorted(values)} and {sorted(single)}")
    zero = [task for task in values if single[task] == 0]
    if zero:
        raise ValueError(f"no relative change: the single-task result of {zero[0]} is 0")
    signs = {task: 1.0 if better else -1.0 for task, better in higher_is_better.items()}
    return float(np.mean([signs[task] * (values[task] - single[task]) / single[task] for task in values]))


def uniformity(losses: ArrayLike, preference: ArrayLike) -> float:
    """How equal the preferred losses are: ``1 - KL(L̂ ‖ 1/N) = 1 - Σ_{L̂_j > 0} L̂_j ln(N L̂_j)`` with
    ``L̂_j = r_j L_j / Σ_k r_k L_k`` (Controllable Dynamic Multi-Task Architectures, CVPR 2022).

    1 where all r_j L_j are equal, at least ``1 - ln N``; NaN where all products are 0.

    Raises:
        ValueError: shapes that differ, no task, or a negative number.
    """
    loss, r = np.asarray(losses, dtype=np.float64), np.asarray(preference, dtype=np.float64)
    if loss.ndim != 1 or loss.shape != r.shape or not len(loss):
        raise ValueError(f"one loss and one preference a task are needed; got {loss.shape} and {r.shape}")
    if not (loss >= 0).all() or not (r >= 0).all():
        raise ValueError("losses and preferences are not negative")
    product = loss * r
    if not product.sum() > 0:
        return float("nan")
    share = product / product.sum()
    share = share[share > 0]
    return float(1.0 - (share * np.log(len(loss) * share)).sum())


def hypervolume(points: ArrayLike, reference: ArrayLike, maximise: bool = False) -> float:
    """Volume of what ``points`` [n, N] dominate up to ``reference`` [N]; smaller is better unless ``maximise``.

    Points that do not lie strictly within the reference in every objective count nothing. Exact, by moocore; values
    with other references must not be compared. Raises ValueError for shapes that do not fit or numbers that are not
    finite.
    """
    import moocore

    p, ref = np.asarray(points, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    p = p.reshape(0, len(ref)) if p.size == 0 else p
    if p.ndim != 2 or ref.ndim != 1 or p.shape[1] != len(ref) or not len(ref):
        raise ValueError(f"points [n, N] and a reference [N] are needed; got {p.shape} and {ref.shape}")
    if not np.isfinite(p).all() or not np.isfinite(ref).all():
        raise ValueError("a hypervolume needs finite points and a finite reference")
    if maximise:
        p, ref = -p, -ref
    p = p[(p < ref).all(1)]
    if not len(p):
        return 0.0
    if len(ref) == 1:
        return float(ref[0] - p.min())
    return float(moocore.hypervolume(np.unique(p, axis=0), ref=ref))


def reference_point(losses: Sequence[ArrayLike], factor: float = 1.1) -> Array:
    """``factor`` times the largest loss of each task over all methods' losses [n, N]: the reference of a comparison."""
    return factor * np.concatenate([np.asarray(each, dtype=np.float64) for each in losses]).max(0)


def preference_response(losses: ArrayLike, preferences: ArrayLike) -> float:
    """Mean over tasks of Spearman's correlation of r_i with -L_i, over the preferences; both [n, N].

    In [-1, 1]; a task whose loss never changes does not respond and counts 0. NaN for fewer than two preferences.
    """
    loss, r = np.asarray(losses, dtype=np.float64), np.asarray(preferences, dtype=np.float64)
    if loss.ndim != 2 or loss.shape != r.shape:
        raise ValueError(f"losses and preferences are both [n, N]; got {loss.shape} and {r.shape}")
    if len(loss) < 2:
        return float("nan")
    return float(np.mean([np.nan_to_num(correlation(r[:, i], -loss[:, i], rank=True)) for i in range(loss.shape[1])]))


def _alike(prediction: ArrayLike, label: ArrayLike) -> tuple[Array, Array]:
    p, y = np.asarray(prediction, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if p.shape != y.shape:
        raise ValueError(f"a prediction has the shape of its label; got {p.shape} and {y.shape}")
    return p, y
