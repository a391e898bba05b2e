"""NT-Xent against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.ntxent import ntxent


def test_ntxent_against_plain_loops_and_its_invariances() -> None:
    draws = torch.Generator().manual_seed(0)
    for _ in range(40):
        n, d = (int(torch.randint(2, 9, (), generator=draws)) for _ in range(2))
        tau = float(torch.rand((), generator=draws)) + 0.05
        z1, z2 = torch.randn(2, n, d, generator=draws, dtype=torch.float64)
        rows = [[float(v) for v in r / r.norm()] for r in torch.cat([z1, z2])]
        total = 0.0
        for i, a in enumerate(rows):
            s = [sum(p * q for p, q in zip(a, b, strict=True)) / tau for b in rows]
            total += math.log(sum(math.exp(v) for k, v in enumerate(s) if k != i)) - s[(i + n) % (2 * n)]
        found = ntxent(z1, z2, temperature=tau).item()
        assert found == pytest.approx(total / (2 * n), rel=1e-9)
        same = torch.randperm(n, generator=draws)
        rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=draws, dtype=torch.float64))
        for a, b in ((z2, z1), (z1 * 3, z2 * 0.1), (z1[same], z2[same]), (z1 @ rotation, z2 @ rotation)):
            assert ntxent(a, b, temperature=tau).item() == pytest.approx(found, rel=1e-9)
    assert ntxent(torch.ones(5, 3), torch.ones(5, 3)).item() == pytest.approx(math.log(9), rel=1e-5)
    assert math.isfinite(ntxent(torch.randn(4, 3), torch.randn(4, 3), temperature=0.01).item())
    with pytest.raises(ValueError, match="two views"):
        ntxent(torch.zeros(2, 3), torch.zeros(3, 3))
