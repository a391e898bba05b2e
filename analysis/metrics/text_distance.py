"""How far generated texts are, as a set, from the right ones: the Fréchet distance and MAUVE of their features."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
CHATTER = b"WARNING clustering"  # faiss says so wherever a cluster has less than 39 points, which MAUVE's never have


class Moments:
    """Count, mean [d] and covariance [d, d] of rows that come batch by batch (float64; no row is kept).

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Array = np.zeros(0)
        self.squares: Array = np.zeros((0, 0))  # Σ (x - mean)(x - mean)ᵀ

    def update(self, rows: ArrayLike) -> None:
        """Rows [n, d]. Raises ValueError for another width than before."""
        x = np.asarray(rows, np.float64)
        if x.ndim != 2 or (self.count and x.shape[1] != len(self.mean)):
            raise ValueError(f"features must be [rows, {len(self.mean) or 'd'}], not {list(x.shape)}")
        if not len(x):
            return
        mean = x.mean(0)
        squares = (x - mean).T @ (x - mean)
        if not self.count:
            self.count, self.mean, self.squares = len(x), mean, squares
            return
        both, step = self.count + len(x), mean - self.mean
        self.squares = self.squares + squares + np.outer(step, step) * (self.count * len(x) / both)
        self.mean = self.mean + step * (len(x) / both)
        self.count = both

    @property
    def covariance(self) -> Array:
        """With n - 1 below. Raises ValueError of fewer than two rows."""
        if self.count < 2:
            raise ValueError("a covariance needs two rows")
        return self.squares / (self.count - 1)


def frechet(a: Moments, b: Moments) -> float:
    """``|μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½)``: the squared Fréchet (2-Wasserstein) distance of two normal
    distributions; 0 for equal moments. Of few rows it is biased upwards: compare at equal numbers of rows.

    Raises ValueError of fewer than two rows of either.

    Source: Dowson and Landau 1982; of features of generated samples: Heusel et al., NeurIPS 2017.
    """
    difference = a.mean - b.mean
    cross = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()  # tr (Σ_a Σ_b)^½
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(0.0, float(difference @ difference + trace))


def _root(covariance: Array) -> Array:
    """The symmetric root of a positive semidefinite matrix; rounding errors in place of zeros have none."""
    values, vectors = np.linalg.eigh(covariance)
    values = np.where(values > len(values) * np.finfo(np.float64).eps * max(values.max(), 0.0), values, 0.0)
    return (vectors * np.sqrt(values)) @ vectors.T


def mauve(texts: ArrayLike, right: ArrayLike, scale: float = 5.0, buckets: int | None = None) -> float:
    """MAUVE of features [n, d] of generated texts and [m, d] of right ones, 0 to 1; 1 where they are the same.

    P and Q are the histograms of both over k clusters (k-means after PCA of the normalised features, together). With
    R_λ = λ P + (1 - λ) Q it is the area under the curve of exp(-c KL(Q | R_λ)) and exp(-c KL(P | R_λ)), 0 < λ < 1.
    Computed by the authors' library mauve-text on one thread with its own seed: the same features, the same number.

    Args:
        scale: c, 5 in the paper.
        buckets: k; None: a tenth of the smaller set, as in the paper, and 2 at least.

    Raises:
        ModuleNotFoundError: without the extra ``mauve``.
        ValueError: fewer than two rows of either, or other widths.

    Source: Pillutla et al., MAUVE, NeurIPS 2021, eq. 1 to 3.
    """
    q, p = (np.ascontiguousarray(x, np.float32) for x in (texts, right))
    if q.ndim != 2 or p.ndim != 2 or q.shape[1] != p.shape[1] or min(len(q), len(p)) < 2:
        raise ValueError(f"MAUVE needs two rows or more of one width, not {list(q.shape)} and {list(p.shape)}")
    both = np.concatenate([p, q])
    if (both == both[0]).all():  # one point: the library's PCA would divide by its variance
        return 1.0
    from mauve import compute_mauve
    from threadpoolctl import threadpool_limits

    k = max(2, round(min(len(p), len(q)) / 10)) if buckets is None else min(buckets, len(both))
    with _without(CHATTER), threadpool_limits(limits=1):
        found = compute_mauve(p_features=p, q_features=q, num_buckets=k, mauve_scaling_factor=scale, verbose=False)
    if np.array_equal(found.p_hist, found.q_hist):  # the library's area depends on how equal points are sorted: 0.75
        return 1.0
    return min(1.0, float(found.mauve))


@contextmanager
def _without(beginning: bytes) -> Iterator[None]:
    """Lines of standard error with this beginning are left out: what a library in C writes there passes Python by."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            rest = b"".join(line for line in caught if not line.startswith(beginning))
            if rest:
                os.write(2, rest)
