"""StarGAN's losses: Wasserstein critic with gradient penalty, domain class, reconstruction (CDvG spec section 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """``mean_i ( ‖∂ Σ D_src(x̂_i) / ∂ x̂_i‖₂ - 1 )²``, x̂ = α·x + (1 - α)·x_fake; the gradient of the sum of the map, its norm over all pixels.

    real, fake [B, C, H, W], alpha [B, 1, 1, 1]; ``fake`` is detached here. Source: WGAN-GP as in StarGAN v1, spec section 2.
    """
    with torch.autocast(real.device.type, enabled=False):
        mixed = (alpha * real + (1 - alpha) * fake.detach()).requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        return ((torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1) ** 2).mean()


def critic_loss(src_real: Tensor, src_fake: Tensor, classes_real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """``(-mean D_src(x) + mean D_src(x_fake), CE(D_cls(x), y))``; the caller adds ``l_cls`` and ``l_gp`` (spec section 2)."""
    with torch.autocast(src_real.device.type, enabled=False):
        return at_least_float32(src_fake).mean() - at_least_float32(src_real).mean(), F.cross_entropy(
            at_least_float32(classes_real), labels
        )


def generator_loss(
    src_fake: Tensor, classes_fake: Tensor, modes: Tensor, real: Tensor, reconstructed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``(-mean D_src(x_fake), CE(D_cls(x_fake), y'), mean |x - G(x_fake, c)|)`` (spec section 2)."""
    with torch.autocast(real.device.type, enabled=False):
        rebuilt = (at_least_float32(real) - at_least_float32(reconstructed)).abs().mean()
        return -at_least_float32(src_fake).mean(), F.cross_entropy(at_least_float32(classes_fake), modes), rebuilt
