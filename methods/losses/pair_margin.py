"""Contrastive loss of pairs with a margin (Hadsell et al., CVPR 2006), over all pairs of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import at_least_float32, prepare, zero


def pair_margin(z: Tensor, labels: Tensor, *, margin: float = 1.0) -> Tensor:
    """``2/(B (B - 1)) Σ_{i<j} [ d_ij² if y_i = y_j else max(0, m - d_ij)² ]``, d the Euclidean distance of unit rows.

    Nothing is detached. Where two rows of unlike labels lie on each other the distance has no gradient, and none flows.

    Args:
        z: [B, d], normalised inside.
        labels: [B] integers.
        margin: m; rows of unit length are at most 2 apart.

    Returns:
        A scalar of at least float32, the mean over all pairs; a zero with a graph for B < 2.

    Raises:
        ValueError: labels that are not [B], or a margin below 0.

    Source: Hadsell, Chopra, LeCun, CVPR 2006, eq. 4, without its factors 1/2; that rows are normalised and all pairs
    count alike is our reading (docs/methods/peft.md).
    """
    if z.dim() != 2 or labels.shape != z.shape[:1]:
        raise ValueError(f"needs z [B, d] and labels [B]; got {tuple(z.shape)}, {tuple(labels.shape)}")
    if margin < 0:
        raise ValueError(f"a margin is not below 0: {margin}")
    if len(z) < 2:
        return zero(z)
    with torch.autocast(z.device.type, enabled=False):
        u = prepare(at_least_float32(z), normalize=True)
        first, second = torch.triu_indices(len(u), len(u), offset=1, device=u.device)
        squared = (u[first] - u[second]).square().sum(1)
        apart = squared > 0  # the root has no gradient at 0
        distance = torch.where(apart, squared, 1.0).sqrt() * apart
        pushed = (margin - distance).clamp(min=0).square()
        return torch.where(labels[first] == labels[second], squared, pushed).mean()
