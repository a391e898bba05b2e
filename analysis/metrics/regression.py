"""Measures of scalar regression: arrays in, numbers out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.source import ShotBins

Array = NDArray[np.float64]
SHOTS = ("many", "medium", "few")
MOST_ROWS = 500  # rows whose pairs the representation measures compare; more are thinned evenly


def gmean(error: Array) -> float:
    """Geometric mean of |e|, ``exp(mean log |e|)``, with zeros as 1e-10; NaN for no rows."""
    size = np.abs(error)
    return float(np.exp(np.log(np.where(size == 0, 1e-10, size)).mean())) if len(size) else float("nan")


def correlation(a: Array, b: Array, rank: bool = False) -> float:
    """Pearson's (``rank``: Spearman's) correlation; NaN for fewer than two rows or a constant side."""
    from scipy.stats import rankdata

    if rank and len(a):
        a, b = rankdata(a), rankdata(b)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    with warnings.catch_warnings():  # a spread below rounding gives a correlation that means nothing
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.corrcoef(a, b)[0, 1])


def errors(value: Array, label: Array) -> dict[str, float]:
    """``mae``, ``mse``, ``rmse``, ``gm``, ``r2``, ``pearson``, ``spearman`` of predictions; NaN where undefined (no
    rows, constant labels).
    """
    e = value - label
    nan = float("nan")
    spread = float(((label - label.mean()) ** 2).sum()) if len(e) else 0.0
    mse = float((e**2).mean()) if len(e) else nan
    return {
        "mae": float(np.abs(e).mean()) if len(e) else nan,
        "mse": mse,
        "rmse": mse**0.5,
        "gm": gmean(e),
        "r2": 1 - float((e**2).sum()) / spread if spread > 0 else nan,
        "pearson": correlation(value, label),
        "spearman": correlation(value, label, rank=True),
    }


class Shots(ShotBins):
    """Which shot a label belongs to, by a data set's :class:`~holdfast.datasets.core.source.ShotBins`.

    Ages have width 1, 100 and 20; STS-B-DIR has 50 bins of 0.1 with fixed lists.
    """

    @classmethod
    def of(cls, bins: ShotBins) -> Shots:
        """With the fields of ``bins``."""
        return cls(**vars(bins))

    def bins(self, label: Array) -> NDArray[np.int64]:
        """Bin of each label, [N]; edges are compared in float32, as labels are stored."""
        # the product meets DIR's float32 edges; a quotient by float32(0.1) puts 1.3 or 2.6 one bin low
        position = (label.astype(np.float32) - np.float32(self.origin)) * np.float32(1 / self.width)
        bins = np.floor(position.astype(np.float32)).astype(np.int64)
        return np.clip(bins, 0, self.last) if self.last is not None else bins

    def assign(self, label: Array, train: Array) -> NDArray[np.str_]:
        """``many``, ``medium`` or ``few`` of each label, [N]."""
        bins = self.bins(label)
        if self.many is not None:
            named = {**dict.fromkeys(self.medium, "medium"), **dict.fromkeys(self.many, "many")}
            return np.array([named.get(int(b), "few") for b in bins], dtype="U6")
        values, counts = np.unique(self.bins(train), return_counts=True)
        count = dict(zip(values.tolist(), counts.tolist(), strict=True))
        n = np.array([count.get(int(b), 0) for b in bins])
        return np.where(n > self.many_above, "many", np.where(n < self.few_below, "few", "medium"))


def by_shot(value: Array, label: Array, shot: NDArray[np.str_]) -> dict[str, dict[str, float]]:
    """:func:`errors` of the rows of each shot, pooled over its labels, and ``n``; an empty shot has NaN and n = 0."""
    return {
        name: {**errors(value[shot == name], label[shot == name]), "n": float((shot == name).sum())} for name in SHOTS
    }


def thin(n: int, most: int = MOST_ROWS) -> NDArray[np.int64]:
    """At most ``most`` of 0..n-1, evenly spaced."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _unit(embedding: Array) -> Array:
    return embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)


def pairs(embedding: Array, label: Array) -> tuple[Array, Array]:
    """|Δy| and 1 - cos z of all pairs of (thinned) rows, each [n (n - 1) / 2]."""
    rows = thin(len(label))
    z, y = _unit(embedding[rows]), label[rows]
    i, j = np.triu_indices(len(rows), 1)
    return np.abs(y[i] - y[j]), 1 - (z @ z.T)[i, j]


def ordinality(embedding: Array, label: Array) -> float:
    """Spearman's correlation of |Δy| and 1 - cos z over pairs: 1 where similarity falls with label distance; NaN where
    undefined.
    """
    return correlation(*pairs(embedding, label), rank=True)


def local_linearity(embedding: Array, label: Array, n_bins: int = 20) -> float:
    """Mean cosine of successive steps of the curve of mean embeddings over label bins of equal counts: 1 for a straight
    trace.

    Bins are cut at labels, never inside one; NaN with fewer than three.
    """
    order = np.argsort(label, kind="stable")
    values = np.unique(label)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, min(n_bins, len(values)) + 1)[1:-1]))
    bins = np.searchsorted(edges, label[order], side="right")
    centres = np.stack([_unit(embedding)[order][bins == b].mean(0) for b in np.unique(bins)]) if len(order) else None
    if centres is None or len(centres) < 3:
        return float("nan")
    steps = _unit(np.diff(centres, axis=0))
    return float((steps[1:] * steps[:-1]).sum(1).mean())


def neighbour_mae(embedding: Array, label: Array, k: int = 5) -> float:
    """MAE of the mean label of a row's ``k`` nearest other rows (cosine): how far the embedding alone orders labels;
    NaN for one row.
    """
    rows = thin(len(label))
    z, y = _unit(embedding[rows]), label[rows]
    if len(rows) < 2:
        return float("nan")
    similarity = z @ z.T
    np.fill_diagonal(similarity, -np.inf)
    near = np.argsort(-similarity, axis=1, kind="stable")[:, : min(k, len(rows) - 1)]
    return float(np.abs(y[near].mean(1) - y).mean())


def order(embedding: Array, label: Array) -> dict[str, float]:
    """``ordinality``, ``local_linearity`` and ``neighbour_mae`` of embeddings [N, d]."""
    return {
        "ordinality": ordinality(embedding, label),
        "local_linearity": local_linearity(embedding, label),
        "neighbour_mae": neighbour_mae(embedding, label),
    }


def evaluate(
    value: Array,
    label: Array,
    embedding: Array | None = None,
    shots: Shots | None = None,
    train: Array | None = None,
    projection: Array | None = None,
) -> dict[str, float]:
    """All measures by name, without those that are undefined on these rows: of all rows, ``<shot>/mae``, ``<shot>/gm``
    and ``<shot>/n``, :func:`order` of the encoder's features ``embedding``, and of the projector's output
    ``projection`` as ``projection/<name>``.
    """
    measures = errors(value, label)
    if shots is not None and train is not None:
        for name, of_shot in by_shot(value, label, shots.assign(label, train)).items():
            measures |= {f"{name}/{m}": of_shot[m] for m in ("mae", "rmse", "gm", "n")}
    if embedding is not None and len(embedding):
        measures |= order(embedding, label)
    if projection is not None and len(projection):
        measures |= {f"projection/{name}": measure for name, measure in order(projection, label).items()}
    return {name: measure for name, measure in measures.items() if np.isfinite(measure)}


def column(values: Sequence[Any] | NDArray[Any]) -> Array:
    """Numbers or vectors of predictions as one array [N, ...]."""
    return np.asarray(values, dtype=np.float64)
