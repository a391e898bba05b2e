"""Intervals, paired differences, Holm and ranks against scipy and published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from holdfast.analysis import statistics as compare
from scipy import stats


def test_estimate_and_paired_against_scipy() -> None:
    g = np.random.default_rng(0)
    for n in (2, 3, 5, 20):
        a, b = g.normal(size=n), g.normal(0.3, size=n)
        found = compare.estimate(list(a))
        low, high = stats.ttest_1samp(a, 0).confidence_interval(0.95)
        assert (found.mean - found.half, found.mean + found.half, found.n) == pytest.approx((low, high, n))
        pair = compare.paired(dict(enumerate(a)), dict(enumerate(b)))
        test = stats.ttest_rel(a, b)
        assert pair.p == pytest.approx(test.pvalue)
        low, high = test.confidence_interval(0.95)
        assert (pair.mean - pair.half, pair.mean + pair.half) == pytest.approx((low, high))


def test_overlapping_splits_have_the_corrected_variance() -> None:
    """By hand: t = mean / √((1/n + n_test/n_train) s²); five 70/15/15 splits widen intervals 1.44 times."""
    g = np.random.default_rng(2)
    for n, ratio in ((5, 15 / 70), (3, 0.5), (10, 1 / 9)):
        a, b = g.normal(0.8, size=n), g.normal(size=n)
        d = a - b
        s2 = sum((d - d.mean()) ** 2) / (n - 1)
        t = d.mean() / math.sqrt((1 / n + ratio) * s2)
        pair = compare.paired(dict(enumerate(a)), dict(enumerate(b)), overlap=ratio)
        assert pair.p == pytest.approx(2 * stats.t.sf(abs(t), n - 1))
        assert pair.half == pytest.approx(stats.t.ppf(0.975, n - 1) * math.sqrt((1 / n + ratio) * s2))
        alone = compare.estimate(list(a), overlap=ratio)
        assert alone.half / compare.estimate(list(a)).half == pytest.approx(math.sqrt(1 + n * ratio))
    five = compare.estimate([1.0, 2.0, 4.0, 3.0, 7.0], overlap=15 / 70)
    assert five.half / compare.estimate([1.0, 2.0, 4.0, 3.0, 7.0]).half == pytest.approx(1.44, abs=0.005)


def test_pairs_are_those_of_common_seeds_and_corners_are_defined() -> None:
    pair = compare.paired({0: 1.0, 1: 2.0, 7: 9.0}, {1: 1.0, 0: 0.5, 3: 4.0})
    assert (pair.mean, pair.n) == (0.75, 2)
    assert compare.paired({0: 1.0}, {1: 1.0}).n == 0
    assert math.isnan(compare.paired({0: 1.0}, {1: 1.0}).p)
    alone = compare.paired({0: 1.0}, {0: 3.0})
    assert (alone.mean, alone.n) == (-2.0, 1)
    assert math.isnan(alone.p)
    assert math.isnan(alone.half)
    assert compare.paired({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}).p == 1.0
    assert compare.paired({0: 2.0, 1: 3.0}, {0: 1.0, 1: 2.0}).p == 0.0
    assert math.isnan(compare.estimate([1.0]).half)
    with pytest.raises(ValueError, match="no value"):
        compare.estimate([])


def test_holm_by_hand() -> None:
    assert compare.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = compare.holm([0.01, math.nan, 0.04])
    assert found[0] == pytest.approx(0.02)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.04)
    assert compare.holm([0.9, 0.8]) == [1.0, 1.0]
    assert compare.holm([]) == []


def test_ranks_by_hand_with_ties_and_direction() -> None:
    table = [[3.0, 1.0, 2.0], [3.0, 3.0, 1.0]]
    assert compare.ranks(table, higher_is_better=False) == [2.75, 1.75, 1.5]
    assert compare.ranks(table, higher_is_better=True) == [1.25, 2.25, 2.5]
    empty: list[list[float]] = []
    for bad in ([[1.0, math.nan]], empty, [*empty, []]):
        with pytest.raises(ValueError, match="every task"):
            compare.ranks(bad, True)


def test_critical_difference_is_demsar_s() -> None:
    for k, q in ((2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)):  # table 5a of Demšar (2006)
        assert compare.critical_difference(k, 30) == pytest.approx(q * math.sqrt(k * (k + 1) / 180), rel=1e-3)
    assert math.isnan(compare.critical_difference(1, 5))
    assert math.isnan(compare.critical_difference(3, 1))


def test_friedman_and_its_corners() -> None:
    g = np.random.default_rng(1)
    table = g.normal(size=(6, 4))
    assert compare.friedman(table.tolist()) == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)
    assert math.isnan(compare.friedman([[1.0, 2.0], [1.0, 2.0]]))
    assert math.isnan(compare.friedman([[1.0, 2.0, 3.0]]))
    assert math.isnan(compare.friedman([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]))


def _holm_by_definition(p: list[float]) -> list[float]:
    """max_{j ≤ i} min(1, (m - j) p_(j)) in ascending order, j from 0."""
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def test_the_libraries_give_what_the_definitions_give() -> None:
    """What stood here before the libraries did: the same values on random data, with ties and without."""
    g = np.random.default_rng(3)
    for trial in range(9):
        p = g.uniform(size=int(g.integers(1, 12))) ** 2
        p = np.round(p, 2) if trial % 3 == 0 else p
        assert compare.holm(p.tolist()) == pytest.approx(_holm_by_definition(p.tolist()), abs=1e-12)
        tasks, methods = int(g.integers(2, 12)), int(g.integers(2, 6))
        table = g.normal(size=(tasks, methods))
        table = np.round(table, 1) if trial % 3 == 0 else table
        found = np.array(compare.nemenyi(table.tolist()))
        average = np.array(compare.ranks(table.tolist(), higher_is_better=False))
        apart = np.abs(average[:, None] - average)
        q = apart / math.sqrt(methods * (methods + 1) / (6 * tasks)) * math.sqrt(2)
        expected = stats.studentized_range.sf(q, methods, np.inf)
        np.fill_diagonal(expected, 1.0)
        assert found == pytest.approx(expected, abs=1e-12)
        assert ((found < 0.05) == (apart > compare.critical_difference(methods, tasks))).all()
    assert np.isnan(compare.nemenyi([[1.0, 2.0]])).all()


def test_the_smallest_detectable_difference_is_found_as_often_as_it_says() -> None:
    """A simulation: of experiments with that true difference four of five have p below 0.05."""
    g = np.random.default_rng(4)
    for n in (3, 6, 20):
        known = compare.Difference(0.0, float(stats.t.ppf(0.975, n - 1)) / math.sqrt(n), n, 1.0)  # deviation 1
        smallest = compare.smallest_detectable(known)
        found = stats.ttest_1samp(g.normal(smallest, 1.0, size=(20_000, n)), 0, axis=1).pvalue < 0.05
        assert found.mean() == pytest.approx(0.8, abs=0.015)
    assert math.isnan(compare.smallest_detectable(compare.Difference(1.0, math.nan, 1, math.nan)))
