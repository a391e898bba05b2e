"""The projected gradient: what it must do, and the solution of the problem that it is the closed form of."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses import gradient_projection


def test_a_gradient_that_works_against_the_reference_becomes_the_nearest_that_does_not() -> None:
    g = torch.Generator().manual_seed(1)
    for _ in range(20):
        gradient, reference = torch.randn(2, 7, dtype=torch.float64, generator=g)
        if gradient @ reference > 0:
            assert torch.equal(gradient_projection(gradient, reference), gradient)
            gradient = -gradient
        made = gradient_projection(gradient, reference)
        assert float(made @ reference) == pytest.approx(0, abs=1e-12)
        away = made - gradient
        for step in torch.randn(20, 7, dtype=torch.float64, generator=g):  # other points are farther
            other = made + (step - min(float(step @ reference), 0.0) / (reference @ reference) * reference)
            assert float(other @ reference) > -1e-9
            assert float((other - gradient).norm()) >= float(away.norm()) - 1e-12


def test_a_reference_of_zeros_changes_nothing() -> None:
    gradient = torch.randn(4)
    assert torch.equal(gradient_projection(gradient, torch.zeros(4)), gradient)
