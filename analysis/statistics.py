"""Which method is better and how sure that is: intervals over seeds, paired differences, ranks over tasks.

Sources: Student's interval and paired test; Nadeau and Bengio (Machine Learning 52, 2003) where the runs are random
splits of one table; Holm (1979) for several methods against one; Demšar (JMLR 2006) for ranks over data sets;
Cohen (1988) for the smallest difference that so many seeds could have shown.
"""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
POWER = 0.8  # of the smallest difference that could have been shown
Seeds = Mapping[Any, float]  # a value for each seed


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds (or splits); ``half`` of its 95 % interval, NaN for fewer than two."""

    mean: float
    half: float
    n: int


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over the ``n`` seeds (or splits) that both have, with ``half`` of its interval.

    ``p``: of the two-sided paired test, NaN below two.
    """

    mean: float
    half: float
    n: int
    p: float


def estimate(values: Sequence[float], overlap: float = 0.0) -> Estimate:
    """``mean ± t_{0.975, n-1} · s · √(1 / n + overlap)``; s² = Σ (x - mean)² / (n - 1). Raises ValueError for no value.

    ``overlap`` 0 is Student's interval of independent values. Values of random splits of one table share rows; there it
    is n_test / n_train, and :func:`paired` with it the corrected resampled t-test (Nadeau and Bengio 2003: the variance
    of the mean is (1/n + n_test/n_train) s²).
    """
    n = len(values)
    if not n:
        raise ValueError("there is no value to average")
    mean = float(np.mean(values))
    if n < 2:
        return Estimate(mean, math.nan, n)
    return Estimate(mean, _quantile(n) * float(np.std(values, ddof=1)) * math.sqrt(1 / n + overlap), n)


def _quantile(n: int) -> float:
    """t_{0.975, n-1}."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, n - 1))


def paired(a: Seeds, b: Seeds, overlap: float = 0.0) -> Difference:
    """The difference on the same seeds, tested as :func:`estimate` says of ``overlap``.

    No common seed: NaN and n = 0. Equal differences everywhere: p is 0, or 1 where they are 0.
    """
    from scipy.stats import t

    common = [key for key in a if key in b]
    if not common:
        return Difference(math.nan, math.nan, 0, math.nan)
    difference = estimate([a[key] - b[key] for key in common], overlap)
    if difference.n < 2:
        return Difference(difference.mean, math.nan, difference.n, math.nan)
    error = standard_error(Difference(difference.mean, difference.half, difference.n, math.nan))
    if error == 0:
        return Difference(difference.mean, 0.0, difference.n, 1.0 if difference.mean == 0 else 0.0)
    return Difference(
        difference.mean, difference.half, difference.n, float(2 * t.sf(abs(difference.mean / error), difference.n - 1))
    )


def standard_error(difference: Difference) -> float:
    """Of the mean difference, from its interval; NaN below two seeds."""
    return math.nan if difference.n < 2 else difference.half / _quantile(difference.n)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (1979), by statsmodels; NaN stays NaN and does not count."""
    from statsmodels.stats.multitest import multipletests

    known = [i for i, value in enumerate(p) if not math.isnan(value)]
    adjusted = [math.nan] * len(p)
    if known:
        gc.freeze()  # multipletests collects garbage: a quarter of a second beside torch, and nothing of ours is to go
        try:
            values = multipletests([p[i] for i in known], method="holm")[1]
        finally:
            gc.unfreeze()
        for i, value in zip(known, values, strict=True):
            adjusted[i] = float(value)
    return adjusted


@functools.lru_cache(maxsize=256)
def _noncentrality(n: int, power: float) -> float:
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=n, alpha=1 - LEVEL, power=power, alternative="two-sided")
    return float(effect) * math.sqrt(n)


def smallest_detectable(difference: Difference, power: float = POWER) -> float:
    """The mean difference that a two-sided paired t test at 0.05 finds with probability ``power``.

    ``δ · SE``: SE is the standard error of the mean difference, δ the noncentrality with which a t of n - 1 degrees of
    freedom lies outside ±t_{0.975, n-1} with probability ``power``. The spread is that of these very seeds, so this is
    what such an experiment can show, not a second test of it. NaN below two seeds. Without correction for several
    comparisons: with Holm's the difference must be larger.

    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), chapter 2; by statsmodels.
    """
    if difference.n < 2:
        return math.nan
    return standard_error(difference) * _noncentrality(difference.n, power)


def ranks(table: Sequence[Sequence[float]], higher_is_better: bool) -> list[float]:
    """Average rank [methods] over tasks, 1 is best, ties share; ``table`` [tasks, methods] of means. Raises ValueError
    for NaN or no task.
    """
    from scipy.stats import rankdata

    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or not values.size or np.isnan(values).any():
        raise ValueError("ranks need a value of every method on every task")
    return [float(r) for r in rankdata(-values if higher_is_better else values, axis=1).mean(0)]


def friedman(table: Sequence[Sequence[float]]) -> float:
    """p of Friedman's test that all methods rank alike, [tasks, methods], by scipy; NaN below three methods or two
    tasks, or where all tie.
    """
    from scipy.stats import friedmanchisquare

    values = np.asarray(table, dtype=np.float64)
    if values.shape[0] < 2 or values.shape[1] < 3 or bool((values == values[:, :1]).all()):
        return math.nan
    return float(friedmanchisquare(*values.T).pvalue)


def nemenyi(table: Sequence[Sequence[float]]) -> list[list[float]]:
    """p of Nemenyi's test for each pair of methods, [methods, methods], of a ``table`` [tasks, methods], by
    scikit-posthocs; the diagonal is 1. NaN below two methods or tasks.
    """
    from scikit_posthocs import posthoc_nemenyi_friedman

    values = np.asarray(table, dtype=np.float64)
    tasks, methods = values.shape
    if tasks < 2 or methods < 2:
        return [[math.nan] * methods for _ in range(methods)]
    return [[float(p) for p in row] for row in posthoc_nemenyi_friedman(values).to_numpy()]


def critical_difference(methods: int, tasks: int) -> float:
    """The difference of average ranks at which Nemenyi's p is 0.05: ``q_{0.05, k} / √2 · √(k (k + 1) / (6 N))``, for
    the bar of the diagram and the words of a table (scikit-posthocs gives p alone; q is scipy's).

    NaN below two methods or tasks.
    """
    from scipy.stats import studentized_range

    if methods < 2 or tasks < 2:
        return math.nan
    q = float(studentized_range.ppf(LEVEL, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))
