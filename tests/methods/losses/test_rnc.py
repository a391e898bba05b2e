"""Rank-N-Contrast against the double loop."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.rnc import rnc
from torch import Tensor

from .cases import case

CASES = range(12)


def plain_rnc(f: Tensor, y: Tensor, tau: float) -> float:
    label = y.repeat(len(f) // len(y)).tolist()
    far = torch.cdist(f, f, compute_mode="donot_use_mm_for_euclid_dist").tolist()
    m, total = len(f), 0.0
    for i in range(m):
        for j in range(m):
            if j != i:
                away = abs(label[i] - label[j])
                s = [math.exp(-far[i][k] / tau) for k in range(m) if k != i and abs(label[i] - label[k]) >= away]
                total += math.log(sum(s)) + far[i][j] / tau
    return total / (m * (m - 1))


@pytest.mark.parametrize("number", CASES)
@pytest.mark.parametrize("views", [1, 2])
def test_rnc_is_the_double_loop(number: int, views: int) -> None:
    f, y = case(number, views, unit=False, integers=number % 2 == 0)
    assert float(rnc(f, y, temperature=1.5)) == pytest.approx(plain_rnc(f, y, 1.5), rel=1e-9)
    assert float(rnc(f, y)) >= 0


def test_rnc_has_finite_gradients_where_rows_coincide_and_where_the_batch_is_large() -> None:
    f = torch.zeros(8, 3, requires_grad=True)
    rnc(f, torch.arange(4.0)).backward()
    assert f.grad is not None
    assert bool(f.grad.isfinite().all())
    big, y = torch.randn(66, 4, dtype=torch.float64), torch.arange(33.0) % 7
    assert float(rnc(big, y)) == pytest.approx(plain_rnc(big, y, 2.0), rel=1e-9)
    far = 1e4 * torch.randn(20, 4)
    assert bool(rnc(far, torch.arange(10.0), temperature=0.01).isfinite())
    small = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rnc(x, torch.tensor([0.0, 1.0, 1.0])), (small,))
