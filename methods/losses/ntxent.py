"""NT-Xent: two views of an image against all other views (Chen et al., SimCLR, ICML 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, group_sums, log_sum_exp_others, zero


def ntxent(z1: Tensor, z2: Tensor, *, temperature: float = 0.1, block: int = 1024) -> Tensor:
    """``1/(2B) Σ_i [ log Σ_{k≠i} exp(s_ik) - s_{i,j(i)} ]``, s = cosine / τ, over the 2B rows of both views.

    j(i) is the other view of i: the supervised contrastive loss whose classes are the images. Nothing is detached.

    Args:
        z1, z2: [B, P], row i of both from one image; normalised inside.
        temperature: τ.
        block: rows of the similarity matrix held at a time.

    Returns:
        A scalar of at least float32, the mean over the 2B rows; exactly 0 with a graph for B < 2.

    Raises:
        ValueError: the views differ in their number of rows.

    Source: SimCLR, eq. 1; its use between translated views is our reading of CDvG (docs/losses.md).
    """
    if len(z1) != len(z2):
        raise ValueError(f"two views of the same images are needed, not {len(z1)} and {len(z2)}")
    if len(z1) < 2:
        return zero(z1) + zero(z2)
    with torch.autocast(z1.device.type, enabled=False):
        z = F.normalize(at_least_float32(torch.cat([z1, z2])), dim=1)
        image = torch.arange(len(z1), device=z1.device)
        sums, _ = group_sums(z, torch.cat([image, image]))
        other_view = (z * (sums - z)).sum(1) / temperature
        return (log_sum_exp_others(z, temperature, block) - other_view).mean()
