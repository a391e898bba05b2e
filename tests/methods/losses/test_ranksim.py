"""RankSim and its ranks."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.ranksim import ranks, ranksim
from torch.nn import functional as F


def test_ranks_and_ranksim_of_features_in_the_order_of_labels() -> None:
    assert ranks(torch.tensor([0.3, 2.0, 1.0])).tolist() == pytest.approx([1.0, 1 / 3, 2 / 3])
    y = torch.tensor([0.0, 1.0, 3.0, 7.0])
    arc = torch.stack([torch.cos(y / 10), torch.sin(y / 10)], 1).requires_grad_()
    g = torch.Generator().manual_seed(0)
    assert float(ranksim(arc, y, generator=g).detach()) == 0
    mixed = arc.detach()[[2, 0, 3, 1]].requires_grad_()
    loss = ranksim(mixed, y, generator=g)
    loss.backward()
    z = mixed.detach()
    expected = sum(
        float((ranks((F.normalize(z, dim=1) @ F.normalize(z, dim=1).T)[i]) - ranks(-(y[i] - y).abs())).square().mean())
        for i in range(4)
    )
    assert float(loss.detach()) == pytest.approx(expected)
    assert mixed.grad is not None
    assert bool(mixed.grad.isfinite().all())
    assert float(ranksim(mixed, torch.zeros(4), generator=g).detach()) == 0
