"""Balanced MSE over a batch (Ren et al., CVPR 2022, the Monte Carlo form BMC)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def balanced_mse(prediction: Tensor, label: Tensor, sigma: Tensor) -> Tensor:
    """``2σ² · 1/B Σ_i -log softmax_j( -(ŷ_i - y_j)² / (2σ²) )_i``; the factor 2σ² is detached.

    Args:
        prediction: [B], ŷ.
        label: [B], y.
        sigma: a positive scalar; it gets a gradient through the logits.

    Returns:
        A scalar of at least float32, the mean over rows; a zero with a graph for an empty batch.

    Raises:
        ValueError: prediction and label are not [B].

    Source: Ren et al., CVPR 2022, BMC.
    """
    if prediction.dim() != 1 or label.shape != prediction.shape:
        raise ValueError(f"prediction and label must be [B], not {list(prediction.shape)} and {list(label.shape)}")
    with torch.autocast(prediction.device.type, enabled=False):
        prediction = at_least_float32(prediction)
        if not len(prediction):
            return zero(prediction)
        variance = sigma.to(prediction.dtype).square()
        logits = -(prediction[:, None] - label.to(prediction.dtype)[None]).square() / (2 * variance)
        rows = torch.arange(len(label), device=label.device)
        return F.cross_entropy(logits, rows) * (2 * variance).detach()
