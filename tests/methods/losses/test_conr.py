"""ConR against the double loop, with both forms of its masks."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from holdfast.methods.losses.conr import conr

from .cases import case

CASES = range(12)


@pytest.mark.parametrize("number", CASES)
@pytest.mark.parametrize("masks", ["exact", "official"])
def test_conr_is_the_double_loop(number: int, masks: Literal["exact", "official"]) -> None:
    z, y = case(number, views=1)
    prediction = y + torch.randn(len(y), generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    total, m = 0.0, len(z)
    for i in range(m):
        positive = [k for k in range(m) if k != i and abs(y[i] - y[k]) <= 1]
        negative = [k for k in range(m) if abs(y[i] - y[k]) > 1 and abs(prediction[i] - prediction[k]) <= 1]
        if not positive or not negative:
            continue
        below = sum(math.exp(float(z[i] @ z[k]) / 0.2) for k in positive)
        below += (m - len(positive)) * math.exp(0) if masks == "official" else 0
        below += sum(math.exp(0.01 * abs(float(y[i] - y[k])) + float(z[i] @ z[k]) / 0.2) for k in negative)
        total += sum(math.log(below) - float(z[i] @ z[k]) / 0.2 for k in positive) / len(positive)
    assert float(conr(z, y, prediction, masks=masks)) == pytest.approx(total / m, rel=1e-9, abs=1e-12)
