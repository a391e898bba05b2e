"""Losses under a preference over tasks: r [N], not negative, with a positive sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def preferred_sum(losses: Tensor, preference: Tensor) -> Tensor:
    """``Σ_i r_i L_i`` of losses and preference [N]; linear scalarisation. Raises ValueError as :func:`cosmos`."""
    with torch.autocast(losses.device.type, enabled=False):
        loss, r = _checked(losses, preference)
        return (r * loss).sum()


def cosmos(losses: Tensor, preference: Tensor, lam: float) -> Tensor:
    """``Σ_i r_i L_i - λ cos(L, r)`` of losses and preference [N].

    Returns:
        A scalar of at least float32; gradients reach the losses.

    Raises:
        ValueError: shapes that differ, a negative or NaN preference, or one of zeros alone.

    Source: COSMOS, Ruchte and Grabocka, ICDM 2021.
    """
    with torch.autocast(losses.device.type, enabled=False):
        loss, r = _checked(losses, preference)
        return (r * loss).sum() - lam * F.cosine_similarity(loss, r, dim=0, eps=1e-8)


def _checked(losses: Tensor, preference: Tensor) -> tuple[Tensor, Tensor]:
    if losses.dim() != 1 or losses.shape != preference.shape:
        raise ValueError(f"one preference a loss: {tuple(losses.shape)}, {tuple(preference.shape)}")
    if not bool((preference >= 0).all()) or not bool(preference.sum() > 0):
        raise ValueError(f"a preference is not negative and has a positive sum, not {preference.tolist()}")
    loss = at_least_float32(losses)
    return loss, preference.to(loss.dtype)
