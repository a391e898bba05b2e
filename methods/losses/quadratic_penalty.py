"""What holds weights near those of earlier experiences: a quadratic penalty, and how much a weight matters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .numerics import at_least_float32


def quadratic_penalty(values: Sequence[Tensor], anchors: Sequence[Tensor], importances: Sequence[Tensor]) -> Tensor:
    """``Σ_i Ω_i (θ_i - θ*_i)²`` over all numbers of all tensors.

    Args:
        values: θ, tensors of any shapes.
        anchors: θ*, of the same shapes; detached.
        importances: Ω, of the same shapes, not below 0; detached.

    Returns:
        A scalar of at least float32.

    Raises:
        ValueError: sequences of unequal length, or none at all.

    Source: Kirkpatrick et al. (EWC), PNAS 2017, arXiv 1612.00796, equation 3 without λ/2; Zenke et al. (SI), ICML 2017,
    arXiv 1703.04200, equation 4 without c.
    """
    if not values:
        raise ValueError("there is no parameter to hold")
    parts = []
    with torch.autocast(values[0].device.type, enabled=False):
        for theta, anchor, omega in zip(values, anchors, importances, strict=True):
            away = at_least_float32(theta) - at_least_float32(anchor.detach())
            parts.append((at_least_float32(omega.detach()) * away**2).sum())
        return torch.stack(parts).sum()


def path_importance(path: Tensor, moved: Tensor, damping: float) -> Tensor:
    """``max(ω, 0) / (Δ² + ξ)``: how much each weight took the loss down on its way through an experience.

    Args:
        path: ω = -Σ_steps g·δ, the gradient of the experience's own loss times what the step moved the weight by.
        moved: Δ, by how much the weight moved over the whole experience; of the shape of ``path``.
        damping: ξ above 0.

    Returns:
        Ω of the shape of ``path``.

    Source: Zenke et al. (SI), ICML 2017, arXiv 1703.04200, equation 5. That weights on whose path the loss rose count
    as 0 is our reading: a negative Ω would push them away.
    """
    return path.clamp(min=0) / (moved**2 + damping)
