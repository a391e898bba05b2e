"""Practical equivalence against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from holdfast.analysis.equivalence import beyond, rope, within
from holdfast.analysis.statistics import Difference, paired
from scipy import stats


def test_tests_are_scipy_s() -> None:
    g = np.random.default_rng(0)
    for n in (3, 8):
        d = g.normal(0.1, 0.3, size=n)
        pair = paired(dict(enumerate(d)), dict.fromkeys(range(n), 0.0))
        assert beyond(pair, 0.05) == pytest.approx(stats.ttest_1samp(d, 0.05).pvalue)
        low = stats.ttest_1samp(d, -0.4, alternative="greater").pvalue
        high = stats.ttest_1samp(d, 0.4, alternative="less").pvalue
        assert within(pair, 0.4) == pytest.approx(max(low, high))
        found = rope(pair, 0.2, True)
        posterior = stats.t(n - 1, d.mean(), d.std(ddof=1) / math.sqrt(n))
        assert (found.below, found.above) == pytest.approx((posterior.cdf(-0.2), posterior.sf(0.2)))
        assert found.below + found.inside + found.above == pytest.approx(1)


def test_verdicts_and_corners() -> None:
    apart, near = Difference(1.0, 0.1, 5, 0.0), Difference(0.0, 0.1, 5, 1.0)
    assert (rope(apart, 0.2, True).verdict, rope(apart, 0.2, False).verdict) == ("better", "worse")
    assert (rope(near, 0.2, True).verdict, rope(near, 0.01, True).verdict) == ("equal", "inconclusive")
    alone = Difference(1.0, math.nan, 1, math.nan)
    assert rope(alone, 0.2, True).verdict == "inconclusive"
    assert math.isnan(beyond(alone, 0.0))
    assert math.isnan(within(alone, 0.1))
    same = Difference(0.5, 0.0, 3, 0.0)
    assert (beyond(same, 0.5), beyond(same, 0.4), within(same, 0.4), within(same, 0.6)) == (1.0, 0.0, 1.0, 0.0)
    assert rope(same, 0.6, True).verdict == "equal"
    with pytest.raises(ValueError, match="above 0"):
        rope(near, 0.0, True)


def test_splits_that_share_rows_are_less_sure() -> None:
    g = np.random.default_rng(1)
    a, b = dict(enumerate(g.normal(0.6, size=6))), dict(enumerate(g.normal(size=6)))
    assert rope(paired(a, b, 0.25), 0.1, True).above < rope(paired(a, b), 0.1, True).above
