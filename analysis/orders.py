"""Do methods that are good in one place rank alike in another? Rank correlations with intervals over seeds.

Sources: Kendall, A New Measure of Rank Correlation, Biometrika 1938 (τ-b, with ties); Spearman 1904; the percentile
bootstrap of Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEAST = 3  # methods: the order of two is alike or turned, whatever they are

Array = NDArray[np.float64]
Values = Mapping[str, Mapping[Any, float]]  # method -> its values by seed


@dataclass(frozen=True)
class Correlation:
    """A rank correlation in [-1, 1] with its 95 % interval over seeds, NaN where a place has one seed, and p of the
    test that the orders are independent (of few methods by all permutations; Kendall's alone).
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Orders:
    """How the orders of ``methods`` by their means in two places hang together; ``seeds`` in common in each place."""

    methods: tuple[str, ...]
    seeds: tuple[int, int]
    kendall: Correlation
    spearman: Correlation


def rank_correlation(first: Values, second: Values, seed: int = 0) -> Orders:
    """Kendall's τ-b and Spearman's ρ of the methods' means over seeds in two places.

    Methods that both places have, on the seeds that all of these have in a place. The interval is that of the 2.5 and
    97.5 percentiles of 2,000 bootstrap samples: in each place seeds are drawn anew with replacement, the same for all
    methods, so that what a seed does to all of them moves no order. It says how sure the order of these very methods
    is, not what others would show. Samples in which all methods tie have no correlation and do not count.

    Raises:
        ValueError: fewer than three methods in common, or a place where they have no seed in common.
    """
    methods = tuple(name for name in first if name in second)
    if len(methods) < LEAST:
        raise ValueError(f"an order needs {LEAST} methods in both places, not {len(methods)}")
    one, two = _table(first, methods), _table(second, methods)
    drawn = np.random.default_rng(seed)
    means = [table[:, drawn.integers(0, table.shape[1], (RESAMPLES, table.shape[1]))].mean(2).T for table in (one, two)]
    sure = min(one.shape[1], two.shape[1]) > 1
    whole = one.mean(1)[None], two.mean(1)[None]
    found = []
    for measure in (_kendall, _spearman):
        samples = measure(*means) if sure else np.array([math.nan])
        known = samples[~np.isnan(samples)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (math.nan, math.nan)
        p = _p(whole[0][0], whole[1][0]) if measure is _kendall else math.nan
        found.append(Correlation(float(measure(*whole)[0]), float(low), float(high), p))
    return Orders(methods, (one.shape[1], two.shape[1]), *found)


def _table(values: Values, methods: tuple[str, ...]) -> Array:
    """Values [methods, seeds] on the seeds that all methods have."""
    common = [key for key in values[methods[0]] if all(key in values[name] for name in methods)]
    if not common:
        raise ValueError(f"{', '.join(methods)} have no seed in common")
    return np.array([[values[name][key] for key in common] for name in methods], dtype=np.float64)


def _kendall(a: Array, b: Array) -> Array:
    """τ-b of each row of a and b [n, methods]: ``Σ sign(a_i - a_j) sign(b_i - b_j) / √(pairs untied in a · in b)``."""
    i, j = np.triu_indices(a.shape[1], 1)
    signs = [np.sign(x[:, i] - x[:, j]) for x in (a, b)]
    return _over((signs[0] * signs[1]).sum(1), (signs[0] ** 2).sum(1) * (signs[1] ** 2).sum(1))


def _spearman(a: Array, b: Array) -> Array:
    """Pearson's correlation of the ranks of each row of a and b [n, methods]; ties share their ranks."""
    from scipy.stats import rankdata

    ranks = [rankdata(x, axis=1) for x in (a, b)]
    x, y = (r - r.mean(1, keepdims=True) for r in ranks)
    return _over((x * y).sum(1), (x**2).sum(1) * (y**2).sum(1))


def _over(above: Array, squared: Array) -> Array:
    """``above / √squared``, NaN where that is 0."""
    return np.divide(above, np.sqrt(squared), out=np.full_like(above, math.nan), where=squared > 0)


def _p(a: Array, b: Array) -> float:
    from scipy.stats import kendalltau

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(kendalltau(a, b).pvalue)
