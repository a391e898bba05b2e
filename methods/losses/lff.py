"""Losses and weights of LfF: generalised cross-entropy's surrogate, relative difficulty (CDvG spec section 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def gce(logits: Tensor, labels: Tensor, *, q: float = 0.7) -> Tensor:
    """``q · sg[p_y]^q · CE(o, y)`` a row, [B]; p_y is detached. Its gradient is q·p_y^q times cross-entropy's.

    logits [B, C], labels [B]; ValueError for q outside (0, 1]. Source: LfF's code, spec section 6.
    """
    if not 0 < q <= 1:
        raise ValueError(f"q lies in (0, 1], not {q}")
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        each = F.cross_entropy(logits, labels, reduction="none")
        return q * torch.exp(-each.detach()) ** q * each


def moving_average(old: Tensor, new: Tensor, seen: Tensor, *, alpha: float = 0.7) -> Tensor:
    """``alpha · old + (1 - alpha) · new`` where a row was seen before, else ``new``; all [B]."""
    return torch.where(seen, alpha * old + (1 - alpha) * new, new)


def relative_difficulty(biased: Tensor, debiased: Tensor, *, eps: float = 1e-8) -> Tensor:
    """``w = b / (b + d + eps)`` in [0, 1], detached; b, d ≥ 0 [B] are the averages divided by their class's largest."""
    biased, debiased = biased.detach(), debiased.detach()
    return biased / (biased + debiased + eps)
