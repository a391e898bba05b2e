"""The margin loss of pairs against a plain loop, and where it has corners."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.pair_margin import pair_margin
from torch.nn import functional as F

from .cases import batch


def plain(z: torch.Tensor, y: torch.Tensor, margin: float) -> float:
    u = F.normalize(z, dim=1)
    values = []
    for i in range(len(u)):
        for j in range(i + 1, len(u)):
            d = float((u[i] - u[j]).norm())
            values.append(d**2 if y[i] == y[j] else max(0.0, margin - d) ** 2)
    return sum(values) / len(values)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0, 3.0])
def test_a_plain_loop_says_the_same(margin: float) -> None:
    z, _, y, _ = batch(9)
    assert float(pair_margin(z, y, margin=margin)) == pytest.approx(plain(z, y, margin), rel=1e-12)
    assert torch.autograd.gradcheck(lambda x: pair_margin(x, y, margin=margin), z.requires_grad_())


def test_rows_that_lie_on_each_other_have_a_finite_gradient() -> None:
    z = torch.ones(3, 4, requires_grad=True)
    loss = pair_margin(z, torch.tensor([0, 1, 1]), margin=0.5)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * 0.25 / 3)
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())


def test_one_row_is_a_zero_with_a_graph_and_half_precision_is_float32() -> None:
    z = torch.randn(1, 4, requires_grad=True)
    pair_margin(z, torch.tensor([0])).backward()
    assert z.grad is not None
    assert not z.grad.any()
    assert pair_margin(torch.randn(3, 4).half(), torch.tensor([0, 0, 1])).dtype == torch.float32


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"labels \[B\]"):
        pair_margin(torch.randn(3, 4), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="not below 0"):
        pair_margin(torch.randn(3, 4), torch.tensor([0, 1, 1]), margin=-1)
