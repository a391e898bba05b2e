"""Generalised cross-entropy, in the form that Learning from Failure trains its biased network with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def gce(logits: Tensor, labels: Tensor, *, q: float = 0.7) -> Tensor:
    """``q · sg[p_y]^q · CE(o, y)`` of every row; p_y is detached: the gradient is q·p_y^q times cross-entropy's.

    Args:
        logits: [B, C], o.
        labels: [B].
        q: in (0, 1].

    Returns:
        [B] of at least float32, not reduced; empty for an empty batch.

    Raises:
        ValueError: q outside (0, 1].

    Source: Zhang and Sabuncu, NeurIPS 2018, as Nam et al. (LfF, NeurIPS 2020) implement it; docs/losses.md.
    """
    if not 0 < q <= 1:
        raise ValueError(f"q lies in (0, 1], not {q}")
    with torch.autocast(logits.device.type, enabled=False):
        logits = at_least_float32(logits)
        each = F.cross_entropy(logits, labels, reduction="none")
        return q * torch.exp(-each.detach()) ** q * each
