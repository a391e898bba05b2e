"""StarGAN's losses: Wasserstein critic with gradient penalty, domain class, reconstruction (Choi et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """``mean_i ( ‖∂ Σ D_src(x̂_i) / ∂ x̂_i‖₂ - 1 )²``, x̂ = α·x + (1 - α)·x_fake.

    The gradient is that of the sum of the critic's map, its norm is over all pixels of an image.

    Args:
        critic: x̂ [B, C, H, W] → map [B, 1, h, w] (any shape whose rows are independent).
        real: [B, C, H, W].
        fake: [B, C, H, W]; detached here.
        alpha: [B, 1, 1, 1] in [0, 1].

    Returns:
        A scalar with a graph of second order to the critic's parameters, in the type of the images; NaN for an empty
        batch.

    Source: Gulrajani et al., NeurIPS 2017, eq. 3 (the penalty), as in StarGAN.
    """
    with torch.autocast(real.device.type, enabled=False):
        mixed = (alpha * real + (1 - alpha) * fake.detach()).requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        return ((torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1) ** 2).mean()


def critic_loss(src_real: Tensor, src_fake: Tensor, classes_real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """``(-mean D_src(x) + mean D_src(x_fake), CE(D_cls(x), y))``: the critic's two terms, unweighted.

    Args:
        src_real, src_fake: maps [B, 1, h, w]; the caller detaches the fake images.
        classes_real: logits [B, C].
        labels: [B], the domains of the real images. Fakes have no class term here.

    Returns:
        Two scalars of at least float32, means; NaN for an empty batch.

    Source: StarGAN, its adversarial term in Wasserstein form and the domain class of real images.
    """
    with torch.autocast(src_real.device.type, enabled=False):
        return at_least_float32(src_fake).mean() - at_least_float32(src_real).mean(), F.cross_entropy(
            at_least_float32(classes_real), labels
        )


def generator_loss(
    src_fake: Tensor, classes_fake: Tensor, modes: Tensor, real: Tensor, reconstructed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``(-mean D_src(x_fake), CE(D_cls(x_fake), y'), mean |x - G(x_fake, c)|)``: the generator's terms, unweighted.

    Args:
        src_fake: map [B, 1, h, w].
        classes_fake: logits [B, C].
        modes: [B], y', the domains that were asked for.
        real, reconstructed: [B, 3, H, W].

    Returns:
        Three scalars of at least float32, means; nothing is detached; NaN for an empty batch.

    Source: StarGAN, its adversarial term in Wasserstein form, the domain class of fakes, the reconstruction.
    """
    with torch.autocast(real.device.type, enabled=False):
        rebuilt = (at_least_float32(real) - at_least_float32(reconstructed)).abs().mean()
        return -at_least_float32(src_fake).mean(), F.cross_entropy(at_least_float32(classes_fake), modes), rebuilt
