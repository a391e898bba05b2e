"""Losses of CDvG: the translator's (StarGAN v1), NT-Xent and the classifier's objective (spec sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .coconut import zero
from .supcon import supcon


def ntxent(z1: Tensor, z2: Tensor, *, temperature: float = 0.1) -> Tensor:
    """``1/(2B) Σ_i [ log Σ_{k≠i} exp(s_ik) - s_{i,j(i)} ]``, s = cosine / τ, over the 2B rows of both views; j(i) is the other view of i.

    This is the supervised contrastive loss whose classes are the images. z1, z2 [B, P]; a scalar of at least float32; exactly 0 with a graph
    for B = 1. Nothing is detached. Source: spec section 3, step 5.
    """
    if len(z1) != len(z2):
        raise ValueError(f"two views of the same images are needed, not {len(z1)} and {len(z2)}")
    if len(z1) < 2:
        return zero(z1) + zero(z2)
    image = torch.arange(len(z1), device=z1.device)
    return supcon(torch.cat([z1, z2]), torch.cat([image, image]), temperature=temperature)


def views_ce(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """``mean_i w_i CE(o_i, y_i)`` over the rows of all views [V·B, C]; labels [B] of the source images, never the mode.

    ``weights`` [B] count alike in every view; none: 1. Source: spec section 3, steps 4 and "plug-in use".
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = _wide(logits)
        views = len(logits) // max(1, len(labels))
        each = F.cross_entropy(logits, labels.repeat(views), reduction="none")
        return (each if weights is None else each * weights.repeat(views)).mean()


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
        return _wide(src_fake).mean() - _wide(src_real).mean(), F.cross_entropy(_wide(classes_real), labels)


def generator_loss(
    src_fake: Tensor, classes_fake: Tensor, modes: Tensor, real: Tensor, reconstructed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``(-mean D_src(x_fake), CE(D_cls(x_fake), y'), mean |x - G(x_fake, c)|)`` (spec section 2)."""
    with torch.autocast(real.device.type, enabled=False):
        rebuilt = (_wide(real) - _wide(reconstructed)).abs().mean()
        return -_wide(src_fake).mean(), F.cross_entropy(_wide(classes_fake), modes), rebuilt


def _wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
