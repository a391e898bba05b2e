"""Mixup's rows, masks and targets, and the cross-entropy of soft targets."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.mixup import mixed_mask, mixed_rows, mixed_targets, soft_cross_entropy
from torch.nn import functional as F

ORDER = torch.tensor([2, 0, 1, 3])


def test_a_share_of_one_changes_nothing_and_one_of_its_complement_gives_the_same_rows() -> None:
    x = torch.randn(4, 3, 2)
    assert torch.equal(mixed_rows(x, ORDER, 1.0), x)
    inverse = ORDER.argsort()
    there, back = mixed_rows(x, ORDER, 0.3), mixed_rows(x, inverse, 0.7)
    torch.testing.assert_close(there, back[ORDER])
    each = mixed_rows(x, ORDER, torch.tensor([1.0, 0.0, 0.5, 0.2]))
    torch.testing.assert_close(each[1], x[0])
    torch.testing.assert_close(each[2], (x[2] + x[1]) / 2)


def test_a_mixed_text_has_a_token_where_one_of_both_has() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 0]])
    assert mixed_mask(mask, ORDER).tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_soft_cross_entropy_is_the_weighted_sum_of_two(share: float) -> None:
    logits, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    found = soft_cross_entropy(logits, mixed_targets(y, ORDER, share, 3, logits.dtype))
    wanted = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y[ORDER])
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


def test_a_class_at_minus_infinity_counts_nothing_where_its_target_is_zero() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    loss = soft_cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    loss.backward()
    assert bool(loss.isfinite())
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_no_rows_are_a_zero_with_a_graph_and_other_shapes_an_error() -> None:
    logits = torch.randn(0, 3, requires_grad=True)
    assert float(soft_cross_entropy(logits, torch.zeros(0, 3)).detach()) == 0
    with pytest.raises(ValueError, match="shaped as the logits"):
        soft_cross_entropy(torch.randn(2, 3), torch.zeros(2, 2))
