"""BiasCon's contrast against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.biascon import biascon


def test_biascon_against_plain_loops() -> None:
    draws = torch.Generator().manual_seed(1)
    for _ in range(40):
        n = int(torch.randint(2, 10, (), generator=draws))
        z = torch.randn(n, 4, generator=draws, dtype=torch.float64)
        y, b = torch.randint(0, 3, (2, n), generator=draws).tolist()
        u = [r / r.norm() for r in z]
        each = []
        for i in range(n):
            positives = [q for q in range(n) if y[q] == y[i] and b[q] != b[i]]
            s = [float(u[i] @ u[k]) / 0.2 for k in range(n)]
            if positives:
                everything = math.log(sum(math.exp(s[k]) for k in range(n) if k != i))
                each.append(sum(everything - s[q] for q in positives) / len(positives))
        found = biascon(z, torch.tensor(y), torch.tensor(b), temperature=0.2)
        assert found.item() == pytest.approx(sum(each) / len(each) if each else 0.0, rel=1e-9)
