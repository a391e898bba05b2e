"""Generalised cross-entropy (LfF; CDvG spec section 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def gce(logits: Tensor, labels: Tensor, *, q: float = 0.7) -> Tensor:
    """``q · sg[p_y]^q · CE(o, y)`` a row, [B]; p_y is detached. Its gradient is q·p_y^q times cross-entropy's.

    logits [B, C], labels [B]; ValueError for q outside (0, 1]. Source: LfF's code, spec section 6.
    """
    if not 0 < q <= 1:
        raise ValueError(f"q lies in (0, 1], not {q}")
    with torch.autocast(logits.device.type, enabled=False):
        logits = at_least_float32(logits)
        each = F.cross_entropy(logits, labels, reduction="none")
        return q * torch.exp(-each.detach()) ** q * each
