"""Interquartile means, win rates and performance profiles by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from holdfast.analysis import aggregates


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    one = aggregates.interquartile_mean([[1.0, 2.0, 3.0, 100.0], [-50.0, 4.0, 5.0, 6.0]])
    assert one.mean == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert (one.tasks, one.runs) == (2, 8)
    assert one.low <= one.mean <= one.high
    assert aggregates.interquartile_mean([[2.0]]) == aggregates.Aggregate(2.0, 2.0, 2.0, 1, 1)
    with pytest.raises(ValueError, match="no run"):
        aggregates.interquartile_mean([[], []])


def test_the_bootstrap_is_stratified_and_covers() -> None:
    """Tasks on levels apart: drawn within tasks the interval knows nothing of the levels; pooled it would be wide."""
    g = np.random.default_rng(0)
    tasks = [[level + 0.01 * x for x in g.normal(size=8)] for level in (0.0, 10.0, 20.0, 30.0)]
    one = aggregates.interquartile_mean(tasks)
    assert one.high - one.low < 0.05
    covered = 0
    for k in range(60):
        sample = [list(level + g.normal(size=12)) for level in (0.0, 0.0, 0.0)]
        found = aggregates.interquartile_mean(sample, seed=k)
        covered += found.low <= 0 <= found.high
    assert 50 <= covered <= 60


def test_win_rates_by_hand() -> None:
    a = [{0: 1.0, 1: 2.0, 2: 3.0}, {0: 5.0}]
    b = [{0: 0.0, 1: 2.0, 2: 9.0, 7: 1.0}, {0: 1.0}]
    assert aggregates.win_rate(a, b, True) == pytest.approx((0.5 + 1.0) / 2)
    assert aggregates.win_rate(a, b, False) == pytest.approx((0.5 + 0.0) / 2)
    assert math.isnan(aggregates.win_rate([{0: 1.0}], [{1: 1.0}], True))


def test_profiles_by_hand() -> None:
    runs = [[0.0, 1.0], [1.0, 1.0, 1.0, 0.0]]
    assert aggregates.performance_profile(runs, [0.0, 0.5, 1.0], True) == pytest.approx([1.0, 0.625, 0.625])
    assert aggregates.performance_profile(runs, [0.0, 0.5, 1.0], False) == pytest.approx([0.375, 0.375, 1.0])
    at = aggregates.thresholds([runs, [[3.0], []]])
    assert (at[0], at[-1], len(at)) == (0.0, 3.0, aggregates.POINTS)
