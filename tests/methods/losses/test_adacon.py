"""AdaCon against the double loop."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.adacon import adacon
from holdfast.methods.losses.supremix import supremix
from torch.nn import functional as F

from .cases import case

CASES = range(12)


@pytest.mark.parametrize("number", CASES)
def test_adacon_is_the_double_loop_and_supcon_without_margin(number: int) -> None:
    z, y = case(number)
    cdf = y * 25
    labels, f = y.repeat(2), cdf.repeat(2)
    each = []
    for i in range(len(z)):
        logit = [
            3 * (float(z[i] @ z[k]) + (0.0 if labels[i] == labels[k] else min(2.0, 0.02 * abs(float(f[i] - f[k])))))
            for k in range(len(z))
        ]
        log_sum = math.log(sum(math.exp(v) for k, v in enumerate(logit) if k != i))
        positive = [k for k in range(len(z)) if k != i and labels[k] == labels[i]]
        each.append(sum(log_sum - logit[k] for k in positive) / len(positive))
    assert float(adacon(z, y, cdf, scale=3, norm=0.02)) == pytest.approx(sum(each) / len(each), rel=1e-9)
    plain = supremix(z, y, temperature=0.5, mix_neg=False, mix_pos=False, weight="none")
    assert float(adacon(z, y, cdf, scale=2, norm=0.0)) == pytest.approx(float(plain), rel=1e-9)


def test_adacon_without_positives_is_zero_with_a_graph() -> None:
    z = F.normalize(torch.randn(4, 3), dim=1).requires_grad_()
    loss = adacon(z, torch.arange(4.0), torch.arange(4.0))
    loss.backward()
    assert float(loss.detach()) == 0
