"""Y-aware InfoNCE against the double loop."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.supremix import supremix
from holdfast.methods.losses.yaware import yaware
from torch import Tensor

from .cases import case

CASES = range(12)


def plain_yaware(z: Tensor, y: Tensor, sigma: float, tau: float, exp: bool) -> float:
    y = y.repeat(len(z) // len(y))
    m, total = len(z), 0.0
    s = [[float(z[i] @ z[k]) / tau for k in range(m)] for i in range(m)]
    for i in range(m):
        w = [0.0 if k == i else math.exp(-(float(y[i] - y[k]) ** 2) / (2 * sigma**2)) for k in range(m)]
        for j in range(m):
            if j == i:
                continue
            if exp:
                u = [s[i][t] - max(s[i]) for t in range(m)]
                total -= w[j] / sum(w) * (u[j] - math.log(sum(math.exp(u[t] * (1 - w[t])) for t in range(m) if t != i)))
            else:
                total -= w[j] / sum(w) * (s[i][j] - math.log(sum(math.exp(s[i][k]) for k in range(m) if k != i)))
    return total / m


@pytest.mark.parametrize("number", CASES)
@pytest.mark.parametrize("exp", [False, True])
def test_yaware_is_the_double_loop(number: int, exp: bool) -> None:
    z, y = case(number, integers=False)
    found = yaware(z, y, sigma=0.7, temperature=0.3, variant="exp" if exp else "yaware")
    assert float(found) == pytest.approx(plain_yaware(z, y, 0.7, 0.3, exp), rel=1e-9)


def test_yaware_becomes_simclr_as_sigma_goes_to_zero() -> None:
    z, _ = case(4)
    y = torch.arange(len(z) // 2).double()
    simclr = supremix(z, y, temperature=0.1, mix_neg=False, mix_pos=False, weight="none")
    assert float(yaware(z, y, sigma=1e-3, temperature=0.1)) == pytest.approx(float(simclr), rel=1e-9)
    official = yaware(z, y, sigma=1e-3, temperature=0.1, variant="official")
    assert float(official) == pytest.approx(2 * float(simclr), rel=1e-9)  # 1/N instead of 1/M; W is symmetric here
