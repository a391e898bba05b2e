"""LfF's weights of samples: moving averages of two networks' losses (CDvG spec section 6)."""

from __future__ import annotations

import torch
from torch import Tensor


def moving_average(old: Tensor, new: Tensor, seen: Tensor, *, alpha: float = 0.7) -> Tensor:
    """``alpha · old + (1 - alpha) · new`` where a row was seen before, else ``new``; all [B]."""
    return torch.where(seen, alpha * old + (1 - alpha) * new, new)


def relative_difficulty(biased: Tensor, debiased: Tensor, *, eps: float = 1e-8) -> Tensor:
    """``w = b / (b + d + eps)`` in [0, 1], detached; b, d ≥ 0 [B] are the averages divided by their class's largest."""
    biased, debiased = biased.detach(), debiased.detach()
    return biased / (biased + debiased + eps)
