"""How well representations of classes lie apart, how far alterations move them, and where they drift.

All measures are of rows scaled to length 1 (``z / max(||z||, 1e-12)``). Obadinma, Guo & Zhu
(RepL4NLP 2023) speak of the separation of classes without a measure that is known to us: these are our reading
(docs/methods/peft_data.md). Silhouette: Rousseeuw 1987; index of Davies & Bouldin 1979.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LEAST = 1e-12
NAN = float("nan")
NAMES = ("within", "between", "separation", "cos_intra", "cos_inter", "gap", "silhouette_cosine", "davies_bouldin")


class RepresentationWarning(UserWarning):
    """A measure that is not defined on the rows: it is NaN."""


def unit(z: Array) -> Array:
    """Rows [N, H] as float64 of length 1; a row of zeros stays one."""
    rows = np.asarray(z, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"representations must be [rows, width], not {list(rows.shape)}")
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), LEAST)


def separation(z: Array, y: Array) -> dict[str, float]:
    """Measures of how far classes lie apart, of rows ``z`` [N, H] and their classes ``y`` [N].

    With u the rows of length 1 and μ_c the mean of class c: ``within`` = mean_c mean_{i in c} ||u_i - μ_c||,
    ``between`` = mean_{c < c'} ||μ_c - μ_c'||, ``separation`` = between / within (higher is better; inf where within is
    0), ``cos_intra`` and ``cos_inter``: mean cosine of pairs i < j of one class and of two, ``gap`` their difference,
    ``silhouette_cosine`` the mean silhouette at 1 - cosine, ``davies_bouldin`` the index at Euclidean distance (lower
    is better).

    Returns all of :data:`NAMES`; NaN, with a RepresentationWarning, where there are fewer than two classes or one has
    a single row. Raises ValueError where ``y`` has other rows.
    """
    u, labels = unit(z), np.asarray(y)
    if len(u) != len(labels):
        raise ValueError(f"{len(u)} rows and {len(labels)} classes")
    numbers, position = np.unique(labels, return_inverse=True)
    counts = np.bincount(position, minlength=len(numbers))
    if len(numbers) < 2 or counts.min() < 2 or not np.isfinite(u).all():
        warnings.warn(
            "class separation needs two classes with two rows each, all of them finite: the measures are NaN",
            RepresentationWarning,
            stacklevel=2,
        )
        return dict.fromkeys(NAMES, NAN)
    members = np.eye(len(numbers))[position]  # [N, C]
    centres = members.T @ u / counts[:, None]
    spread = _means(np.linalg.norm(u - centres[position], axis=1), position, counts)
    within, between = float(spread.mean()), float(_upper(_distances(centres)).mean())
    cosines = u @ u.T
    same = position[:, None] == position[None]
    upper = np.triu(np.ones_like(same), 1)
    intra, inter = float(cosines[same & upper].mean()), float(cosines[~same & upper].mean())
    return {
        "within": within,
        "between": between,
        "separation": between / within if within > 0 else math.inf,
        "cos_intra": intra,
        "cos_inter": inter,
        "gap": intra - inter,
        "silhouette_cosine": _silhouette(1 - cosines, members, position, counts),
        "davies_bouldin": _davies_bouldin(spread, centres),
    }


def _means(values: Array, position: Array, counts: Array) -> Array:
    return np.bincount(position, weights=values, minlength=len(counts)) / counts


def _upper(matrix: Array) -> Array:
    return np.asarray(matrix[np.triu_indices(len(matrix), 1)])


def _distances(points: Array) -> Array:
    return np.asarray(np.linalg.norm(points[:, None] - points[None], axis=-1))


def _silhouette(distances: Array, members: Array, position: Array, counts: Array) -> float:
    """Mean of (b - a) / max(a, b): a the mean distance of a row to the others of its class, b the least mean distance
    to another class; 0 where both are 0.
    """
    np.fill_diagonal(distances, 0.0)
    sums = distances @ members  # [N, C]
    rows = np.arange(len(position))
    own = sums[rows, position] / (counts[position] - 1)
    others = sums / counts
    others[rows, position] = np.inf
    nearest = others.min(1)
    largest = np.maximum(own, nearest)
    return float(np.divide(nearest - own, largest, out=np.zeros_like(own), where=largest > 0).mean())


def _davies_bouldin(spread: Array, centres: Array) -> float:
    """Mean over classes of the largest (s_c + s_c') / ||μ_c - μ_c'||; inf where two centres with spread coincide, 0
    for classes that are points.
    """
    apart = _distances(centres)
    both = spread[:, None] + spread[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(both > 0, both / apart, 0.0)
    np.fill_diagonal(ratio, -np.inf)
    return float(ratio.max(1).mean())


def shift(z: Array, altered: Array, y: Array) -> float:
    """How far alterations move representations, by the spread of classes: mean_i ||u(altered_i) - u(z_i)|| / within.

    ``z`` [M, H] are originals, ``altered`` [M, H] an alteration of each, ``y`` [M] their classes; ``within`` is that of
    :func:`separation` of the originals. NaN with a RepresentationWarning where that is undefined or there is no row.
    """
    before, after = unit(z), unit(altered)
    if before.shape != after.shape:
        raise ValueError(f"originals {list(before.shape)} and alterations {list(after.shape)} must be pairs")
    if not len(before):
        warnings.warn("there is no altered row: the shift is NaN", RepresentationWarning, stacklevel=2)
        return NAN
    moved = float(np.linalg.norm(after - before, axis=1).mean())
    within = separation(z, y)["within"]
    return moved / within if within != 0 else (math.inf if moved else NAN)


def drift(before: Array, after: Array) -> float:
    """Mean distance ||u(after_i) - u(before_i)|| of the same rows [N, H] at two times: 0 to 2; NaN without rows."""
    a, b = unit(before), unit(after)
    if a.shape != b.shape:
        raise ValueError(f"{list(a.shape)} and {list(b.shape)} must be the same rows")
    return float(np.linalg.norm(b - a, axis=1).mean()) if len(a) else NAN


def probe(z: Array, y: Array, folds: int = 5, seed: int = 0) -> float:
    """Accuracy of a logistic regression (C = 1) on the rows of length 1, in ``folds`` stratified folds: each row is
    predicted by a regression that has not seen it.

    NaN with a RepresentationWarning where there are fewer than two classes, or one with fewer rows than folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    u, labels = unit(z), np.asarray(y)
    numbers, counts = np.unique(labels, return_counts=True)
    if len(numbers) < 2 or counts.min() < folds or not np.isfinite(u).all():
        warnings.warn(
            f"a probe in {folds} folds needs two classes with {folds} rows each: its accuracy is NaN",
            RepresentationWarning,
            stacklevel=2,
        )
        return NAN
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    predicted = cross_val_predict(LogisticRegression(max_iter=1000), u, labels, cv=parts)
    return float((predicted == labels).mean())


def coordinates(z: Array, axes: int = 2) -> Array:
    """The first principal components of the rows of length 1, [N, axes]; an axis has the sign that makes its largest
    entry positive.
    """
    u = unit(z)
    centred = u - u.mean(0, keepdims=True)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:axes].T
    points = np.pad(points, ((0, 0), (0, axes - points.shape[1])))
    largest = points[np.abs(points).argmax(0), np.arange(axes)] if len(points) else np.ones(axes)
    return np.asarray(points * np.where(largest < 0, -1.0, 1.0))


def area(strengths: Array, values: Array) -> float:
    """Area under a curve by trapezoids over its range, divided by the range: a mean in the curve's own unit.

    Raises ValueError where strengths [K] do not increase, or there are fewer than two.
    """
    x, curve = np.asarray(strengths, np.float64), np.asarray(values, np.float64)
    if len(x) < 2 or x.shape != curve.shape or not (np.diff(x) > 0).all():
        raise ValueError("an area needs two strengths or more, ascending, with a value each")
    return float(np.trapezoid(curve, x) / (x[-1] - x[0]))
