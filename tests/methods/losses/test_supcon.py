"""The supervised contrastive loss in blocks."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.supcon import supcon
from torch import Tensor


def classic_supcon(z: Tensor, y: Tensor, tau: float) -> Tensor:
    z = torch.nn.functional.normalize(z, dim=1)
    s = z @ z.T / tau
    own = torch.eye(len(y), dtype=torch.bool)
    log_p = s - s.masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
    positive = (y[:, None] == y[None]) & ~own
    keep = positive.sum(1) > 0
    return -((log_p * positive).sum(1)[keep] / positive.sum(1)[keep]).mean()


@pytest.mark.parametrize("block", [1, 7, 64])
def test_supcon_in_blocks_equals_the_matrix_form(block: int) -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.randn(40, 8, generator=g).double().requires_grad_()
    y = torch.randint(0, 15, (40,), generator=g)
    mine, theirs = supcon(z, y, temperature=0.1, block=block), classic_supcon(z, y, 0.1)
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-9)
    for a, b in zip(torch.autograd.grad(mine, z), torch.autograd.grad(theirs, z), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    lonely = supcon(z, torch.arange(40))
    lonely.backward()
    assert lonely.item() == 0
    assert supcon(z[:0], y[:0]).item() == 0
