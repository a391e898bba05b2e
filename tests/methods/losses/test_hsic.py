"""HSIC against sums over tuples."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.hsic import hsic


def test_hsic_against_sums_over_tuples() -> None:
    """The unbiased estimator as the mean over all quadruples of distinct rows."""
    from itertools import permutations

    x, y = torch.randn(6, 2, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    k, m = (torch.exp(-(torch.cdist(v, v) ** 2) / (2 * v.shape[1])) for v in (x, y))
    terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in permutations(range(6), 4)]
    assert hsic(x, y).item() == pytest.approx(float(torch.stack(terms).mean()), rel=1e-9)
    assert hsic(x[:3], y[:3]).item() == 0
    assert hsic(x, 3 * x).item() > hsic(x, y.flip(0)).item()
