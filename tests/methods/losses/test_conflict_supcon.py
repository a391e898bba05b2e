"""The contrast that weighs positives by style: plain loops, its two ends, gradients, corners."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.biascon import biascon
from holdfast.methods.losses.conflict_supcon import conflict_supcon
from holdfast.methods.losses.supcon import supcon
from torch import Tensor


def case(number: int) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(number)
    n = 2 + number % 8
    z = torch.randn(n, 4, generator=draws, dtype=torch.float64)
    return z, torch.randint(0, 3, (n,), generator=draws), torch.randint(0, 3, (n,), generator=draws)


@pytest.mark.parametrize("conflict", [0.5, 1.0, 4.0])
def test_against_plain_loops(conflict: float) -> None:
    for number in range(24):
        z, labels, styles = case(number)
        y, b, n = labels.tolist(), styles.tolist(), len(z)
        u = [row / row.norm() for row in z]
        each = []
        for i in range(n):
            s = [float(u[i] @ u[k]) / 0.2 for k in range(n)]
            weights = {q: conflict if b[q] != b[i] else 1.0 for q in range(n) if q != i and y[q] == y[i]}
            if weights:
                everything = math.log(sum(math.exp(s[k]) for k in range(n) if k != i))
                each.append(everything - sum(w * s[q] for q, w in weights.items()) / sum(weights.values()))
        found = conflict_supcon(z, labels, styles, temperature=0.2, conflict=conflict)
        assert found.item() == pytest.approx(sum(each) / len(each) if each else 0.0, rel=1e-9)


def test_its_ends_are_the_supervised_and_the_bias_contrastive_loss() -> None:
    z, labels, styles = case(7)
    assert conflict_supcon(z, labels, styles, conflict=1.0).item() == pytest.approx(supcon(z, labels).item(), rel=1e-9)
    labels, styles = torch.arange(9) % 3, torch.arange(9) // 3  # every row has a positive of another style
    assert conflict_supcon(z, labels, styles, conflict=1e9).item() == pytest.approx(
        biascon(z, labels, styles).item(), rel=1e-6
    )


def test_gradients() -> None:
    z, labels, styles = case(6)
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: conflict_supcon(x, labels, styles, conflict=3.0, block=3), (z,))


def test_half_precision_and_corners() -> None:
    z = torch.randn(6, 4)
    y, b = torch.tensor([0, 0, 1, 1, 2, 3]), torch.tensor([0, 1, 0, 0, 0, 0])
    half = conflict_supcon(z.half(), y, b)
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(conflict_supcon(z.half().float(), y, b)), rel=1e-5)
    for rows in (0, 1, 2):  # no row, one, two of different classes
        few = torch.randn(rows, 4, requires_grad=True)
        zero = conflict_supcon(few, torch.arange(rows), torch.zeros(rows).long())
        zero.backward()
        assert float(zero.detach()) == 0
        assert few.grad is not None
        assert not few.grad.any()
    with pytest.raises(ValueError, match=r"labels and styles \[N\]"):
        conflict_supcon(z, y[:4], b)
    with pytest.raises(ValueError, match="must be above 0"):
        conflict_supcon(z, y, b, conflict=0.0)
