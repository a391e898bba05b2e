"""Balanced MSE."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.bmse import balanced_mse


def test_balanced_mse_is_a_cross_entropy_and_falls_to_zero_with_sigma() -> None:
    p, y = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    sigma = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    expected = 0.0
    for i in range(6):
        logits = [-float((p[i] - y[j]) ** 2) / (2 * 0.49) for j in range(6)]
        expected += (math.log(sum(map(math.exp, logits))) - logits[i]) / 6
    loss = balanced_mse(p, y, sigma)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * 0.49 * expected, rel=1e-9)
    assert sigma.grad is not None
    values = [float(balanced_mse(y, y, torch.tensor(s))) for s in (1.0, 0.3, 0.1, 0.01)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-4
