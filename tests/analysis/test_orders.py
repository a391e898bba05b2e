"""Rank correlations: against scipy on the means, intervals by seeds, and what has no order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from holdfast.analysis.orders import rank_correlation
from scipy.stats import kendalltau, spearmanr

Table = dict[str, dict[int, float]]


def table(levels: list[float], noise: float, seed: int, seeds: int = 5) -> Table:
    draws = np.random.default_rng(seed)
    return {
        f"m{k}": {s: level + noise * draws.standard_normal() for s in range(seeds)} for k, level in enumerate(levels)
    }


@pytest.mark.parametrize("number", range(6))
def test_the_values_are_those_of_scipy_on_the_means(number: int) -> None:
    draws = np.random.default_rng(number)
    first, second = (table(list(draws.integers(0, 4, 6).astype(float)), 0.0, 0) for _ in range(2))  # with ties
    found = rank_correlation(first, second)
    means = [[float(np.mean(list(one[name].values()))) for name in found.methods] for one in (first, second)]
    assert found.kendall.value == pytest.approx(kendalltau(*means).statistic)
    assert found.kendall.p == pytest.approx(kendalltau(*means).pvalue)
    assert found.spearman.value == pytest.approx(spearmanr(*means).statistic)


def test_orders_that_are_sure_have_narrow_intervals_and_others_wide_ones() -> None:
    levels = [0.1, 0.2, 0.3, 0.4, 0.5]
    sure = rank_correlation(table(levels, 0.001, 1), table(levels, 0.001, 2))
    assert (sure.kendall.value, sure.kendall.low, sure.kendall.high) == (1.0, 1.0, 1.0)
    turned = rank_correlation(table(levels, 0.001, 1), table(levels[::-1], 0.001, 2))
    assert turned.kendall.value == turned.spearman.high == -1.0
    unsure = rank_correlation(table(levels, 0.4, 1), table(levels, 0.4, 2))
    assert unsure.kendall.high - unsure.kendall.low > 0.4
    assert unsure.kendall.low <= unsure.kendall.value <= unsure.kendall.high


def test_what_a_seed_does_to_all_methods_moves_no_order() -> None:
    levels = [0.1, 0.2, 0.3, 0.4]
    shifts = np.random.default_rng(3).standard_normal(5) * 10
    moved = {name: {s: v + shifts[s] for s, v in one.items()} for name, one in table(levels, 0.001, 1).items()}
    assert rank_correlation(moved, table(levels, 0.001, 2)).kendall.low == 1.0


def test_only_common_methods_and_seeds_count_and_one_seed_has_no_interval() -> None:
    first, second = table([0.1, 0.2, 0.3, 0.4], 0.0, 0), table([0.1, 0.3, 0.2], 0.0, 0, seeds=1)
    del first["m1"][4]
    found = rank_correlation(first, second)
    assert (found.methods, found.seeds) == (("m0", "m1", "m2"), (4, 1))
    assert found.kendall.value == pytest.approx(1 / 3)
    assert math.isnan(found.kendall.low)
    assert math.isnan(found.spearman.high)


def test_what_has_no_order_is_refused_or_nan() -> None:
    with pytest.raises(ValueError, match="3 methods in both places, not 2"):
        rank_correlation(table([1, 2], 0, 0), table([1, 2, 3], 0, 0))
    apart = {"a": {0: 1.0}, "b": {1: 2.0}, "c": {2: 3.0}}
    with pytest.raises(ValueError, match="no seed in common"):
        rank_correlation(apart, apart)
    alike = table([1.0, 1.0, 1.0], 0.0, 0)
    assert math.isnan(rank_correlation(alike, table([1, 2, 3], 0.0, 0)).kendall.value)
