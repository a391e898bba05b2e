"""Cross-entropy over views (CDvG spec section 2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def views_ce(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """``mean_i w_i CE(o_i, y_i)`` over the rows of all views [V·B, C]; labels [B] of the source images, never the mode.

    ``weights`` [B] count alike in every view; none: 1. Source: spec section 3, steps 4 and "plug-in use".
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = at_least_float32(logits)
        views = len(logits) // max(1, len(labels))
        each = F.cross_entropy(logits, labels.repeat(views), reduction="none")
        return (each if weights is None else each * weights.repeat(views)).mean()
