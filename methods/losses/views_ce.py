"""Cross-entropy over the views of images (CDvG, Jung et al., ICML 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def views_ce(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """``1/(V·B) Σ_i w_i CE(o_i, y_i)`` over the rows of all views; nothing is detached.

    Args:
        logits: [V·B, C], all first views first.
        labels: [B], of the source images, never of the mode that a view was moved to.
        weights: [B], those of the images, alike in every view; None: 1.

    Returns:
        A scalar of at least float32; NaN for an empty batch.

    Source: our reading of CDvG's classification term and of its use inside other methods; docs/losses.md.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = at_least_float32(logits)
        views = len(logits) // max(1, len(labels))
        each = F.cross_entropy(logits, labels.repeat(views), reduction="none")
        return (each if weights is None else each * weights.repeat(views)).mean()
