"""The weights of LfF."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.relative_difficulty import moving_average, relative_difficulty


def test_weight_of_lff() -> None:
    b, d = torch.rand(2, 50)
    w = relative_difficulty(b, d)
    assert bool(((w >= 0) & (w <= 1)).all())
    assert relative_difficulty(torch.ones(1), torch.ones(1)).item() == pytest.approx(0.5)
    assert relative_difficulty(torch.zeros(1), torch.zeros(1)).item() == 0  # no NaN
    assert bool((relative_difficulty(b + 0.1, d) >= w).all())
    seen = torch.tensor([True, False])
    torch.testing.assert_close(moving_average(torch.ones(2), torch.zeros(2), seen, alpha=0.7), torch.tensor([0.7, 0.0]))
