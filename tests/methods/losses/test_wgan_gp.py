"""StarGAN's losses: the gradient penalty at critics whose answer is known."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.methods.losses.wgan_gp import critic_loss, generator_loss, gradient_penalty


def test_gradient_penalty_of_a_critic_that_is_flat_has_a_gradient_and_no_nan() -> None:
    w = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=generator(0, "x"))
    found = gradient_penalty(
        lambda z: z.flatten(1) @ w, x, x.flip(0), torch.full((4, 1, 1, 1), 0.5, dtype=torch.float64)
    )
    found.backward()
    assert found.item() == 1
    assert w.grad is not None
    assert bool(w.grad.isfinite().all())


def test_gradient_penalty_of_a_linear_critic() -> None:
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64, generator=generator(0, "x"))
    w = torch.randn(3, 4, 4, dtype=torch.float64, generator=generator(0, "w"))
    alpha = torch.rand(len(x), 1, 1, 1, dtype=torch.float64)
    found = gradient_penalty(lambda z: (z * w).flatten(1).sum(1), x, x.flip(0), alpha)
    assert found.item() == pytest.approx((float(w.norm()) - 1) ** 2, rel=1e-9)
    unit = w / w.norm()
    assert gradient_penalty(lambda z: (z * unit).flatten(1).sum(1), x, x, alpha).item() < 1e-20
    whole = gradient_penalty(lambda z: torch.stack([(z * w).flatten(1).sum(1)] * 3, 1), x, x, alpha)
    assert whole.item() == pytest.approx((3 * float(w.norm()) - 1) ** 2, rel=1e-9)  # the sum of the map


def test_translator_losses_of_half_precision_are_computed_in_float32() -> None:
    """A map of 1 + 2^-7 and one of 1: in bfloat16 sums of 4,096 of them differ by nothing or by far too much."""
    real, fake = torch.ones(1, 1, 64, 64), torch.full((1, 1, 64, 64), 1 + 2**-7)
    classes, labels = torch.tensor([[2.0, 0.5]]), torch.tensor([0])
    low = [v.to(torch.bfloat16) for v in (real, fake, classes)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [*critic_loss(low[0], low[1], low[2], labels), *generator_loss(low[1], low[2], labels, low[0], low[1])]
    exact = [*critic_loss(real, fake, classes, labels), *generator_loss(fake, classes, labels, real, fake)]
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
