"""Cross-entropy among some classes against plain numbers."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses import masked_ce
from torch.nn import functional as F


def test_it_is_that_of_plain_numbers_and_other_classes_get_no_gradient() -> None:
    scores = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets, classes = torch.tensor([4, 1, 1, 4, 5]), torch.tensor([5, 1, 4])
    loss = masked_ce(scores, targets, classes)
    rows = scores.tolist()
    each = [math.log(sum(math.exp(row[c]) for c in (1, 4, 5))) - row[y] for row, y in zip(rows, targets, strict=True)]
    assert float(loss.detach()) == pytest.approx(sum(each) / 5, abs=1e-12)
    loss.backward()
    assert scores.grad is not None
    assert bool((scores.grad[:, [0, 2, 3]] == 0).all())
    assert bool((scores.grad[:, [1, 4, 5]] != 0).all())


def test_over_all_classes_it_is_cross_entropy() -> None:
    scores, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    assert float(masked_ce(scores, targets, torch.arange(3))) == pytest.approx(float(F.cross_entropy(scores, targets)))


def test_corners() -> None:
    empty = torch.zeros(0, 3, requires_grad=True)
    masked_ce(empty, torch.zeros(0, dtype=torch.int64), torch.tensor([0])).backward()
    assert empty.grad is not None
    assert masked_ce(torch.randn(2, 3).half(), torch.tensor([0, 1]), torch.arange(3)).dtype == torch.float32
    with pytest.raises(ValueError, match="none of the classes"):
        masked_ce(torch.randn(2, 3), torch.tensor([0, 1]), torch.tensor([0, 2]))
