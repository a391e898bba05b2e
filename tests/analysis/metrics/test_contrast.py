"""Kernel estimates of entropy and mutual information, and the separation total: properties and a plain form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from holdfast.analysis.metrics.contrast import (
    Cell,
    classified,
    joint_kernel_entropy,
    kernel_mutual_information,
    separation,
)


def _codes(n: int, d: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, d))


def _plain(*codes: Any, tau: float) -> float:
    """The double loop of the definition."""
    n = len(codes[0])
    rows = []
    for i in range(n):
        kernels = [math.exp(-sum(float(((c[i] - c[j]) ** 2).sum()) for c in codes) / (2 * tau)) for j in range(n)]
        rows.append(math.log(sum(kernels) / n))
    return sum(rows) / n


@pytest.mark.parametrize("block", [1, 7, 512])
@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_the_blocked_form_is_the_plain_one(block: int, tau: float) -> None:
    c, s = _codes(20, 3), _codes(20, 2, 1)
    assert joint_kernel_entropy(c, s, tau=tau, block=block) == pytest.approx(_plain(c, s, tau=tau), rel=1e-12)
    parts = _plain(c, s, tau=tau) - _plain(c, tau=tau) - _plain(s, tau=tau)
    assert kernel_mutual_information(c, s, tau, block) == pytest.approx(parts, rel=1e-10)


def test_bounds() -> None:
    same, far = np.ones((9, 2)), 1e4 * np.arange(9.0)[:, None]
    assert joint_kernel_entropy(same) == 0
    assert joint_kernel_entropy(far, same) == pytest.approx(-math.log(9))
    c, s = _codes(30, 2), _codes(30, 2, 1)
    assert -math.log(30) <= joint_kernel_entropy(c, s) <= min(joint_kernel_entropy(c), joint_kernel_entropy(s)) <= 0


def test_all_pairs_of_two_lists_have_no_information() -> None:
    u, v = _codes(5, 3), _codes(4, 2, 1)
    c, s = np.repeat(u, 4, 0), np.tile(v, (5, 1))
    assert kernel_mutual_information(c, s) == pytest.approx(0, abs=1e-12)


def test_equal_codes_and_what_changes_nothing() -> None:
    c, s = _codes(25, 3), _codes(25, 2, 1)
    own = joint_kernel_entropy(c, tau=0.25) - 2 * joint_kernel_entropy(c)
    assert kernel_mutual_information(c, c) == pytest.approx(own, rel=1e-12)
    order = np.random.default_rng(2).permutation(25)
    turned = c @ np.linalg.qr(_codes(3, 3, 3))[0] + 5
    value = kernel_mutual_information(c, s)
    assert kernel_mutual_information(s, c) == pytest.approx(value, rel=1e-12)
    assert kernel_mutual_information(turned[order], s[order]) == pytest.approx(value, rel=1e-9)


def test_codes_without_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="without rows"):
        joint_kernel_entropy(np.zeros((0, 2)))


def test_separation_sums_distances_from_ideals() -> None:
    cells = [Cell("a", "common", True, 0.75, 1.0, 0.75), Cell("a", "salient", False, 0.5, 0.25, 0.5)]
    assert separation(cells) == 0.5
    assert math.isnan(separation([]))


def test_balanced_accuracy_and_its_chance() -> None:
    truth, predicted = np.array([0, 0, 0, 2]), np.array([0, 0, 0, 0])
    assert classified(truth, predicted) == (0.75, 0.5, 0.5)
    with pytest.raises(ValueError, match="no row"):
        classified(truth[:0], predicted[:0])
