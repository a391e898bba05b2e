"""The quadratic penalty and the importance of a path against plain numbers."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses import path_importance, quadratic_penalty


def test_the_penalty_and_its_gradient_are_those_of_plain_numbers() -> None:
    g = torch.Generator().manual_seed(0)
    theta = [torch.randn(shape, dtype=torch.float64, generator=g).requires_grad_() for shape in ((2, 3), (4,))]
    anchor = [torch.randn(p.shape, dtype=torch.float64, generator=g).requires_grad_() for p in theta]
    omega = [torch.rand(p.shape, dtype=torch.float64, generator=g).requires_grad_() for p in theta]
    loss = quadratic_penalty(theta, anchor, omega)
    numbers = [[t.flatten().tolist() for t in each] for each in (theta, anchor, omega)]
    expected = sum(o * (t - a) ** 2 for each in zip(*numbers, strict=True) for t, a, o in zip(*each, strict=True))
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-12)
    loss.backward()
    for p, a, o in zip(theta, anchor, omega, strict=True):
        assert torch.allclose(p.grad, 2 * o * (p - a))  # type: ignore[arg-type]
        assert a.grad is None
        assert o.grad is None


def test_corners() -> None:
    with pytest.raises(ValueError, match="no parameter"):
        quadratic_penalty([], [], [])
    with pytest.raises(ValueError, match="zip"):
        quadratic_penalty([torch.ones(2)], [], [torch.ones(2)])
    assert quadratic_penalty([torch.ones(2).half()], [torch.zeros(2).half()], [torch.ones(2)]).dtype == torch.float32


def test_the_importance_of_a_path() -> None:
    path, moved = torch.tensor([0.6, -1.0, 0.0, 0.5]), torch.tensor([0.5, 2.0, 3.0, 0.0])
    assert path_importance(path, moved, 0.05).tolist() == pytest.approx([0.6 / 0.3, 0.0, 0.0, 10.0])
