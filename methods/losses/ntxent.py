"""NT-Xent of two views (CDvG spec section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import zero
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
