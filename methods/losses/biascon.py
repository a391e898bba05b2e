"""Bias-contrastive loss: positives share the class and differ in bias (BiasCon, Hong and Yang, NeurIPS 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def biascon(z: Tensor, labels: Tensor, bias: Tensor, *, temperature: float = 0.1) -> Tensor:
    """``1/|A| Σ_{i∈A} 1/|P(i)| Σ_{q∈P(i)} [ log Σ_{k≠i} exp(s_ik) - s_iq ]``, s = cosine / τ.

    P(i) = {q: y_q = y_i, b_q ≠ b_i}, A the rows with a positive. Nothing is detached.

    Args:
        z: [N, P], normalised inside.
        labels: [N] classes.
        bias: [N] bias attributes.
        temperature: τ.

    Returns:
        A scalar of at least float32, the mean over A (the public code divides by N); a zero with a graph where A
        is empty.

    Source: Hong and Yang, NeurIPS 2021; docs/losses.md.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(at_least_float32(z), dim=1)
        positive = (labels[:, None] == labels) & (bias[:, None] != bias)  # [N, N]
        anchors = positive.any(1).nonzero().flatten()
        if not len(anchors):
            return zero(z)
        s = z @ z.T / temperature
        others = s.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf).logsumexp(1)
        mean = (s * positive).sum(1) / positive.sum(1).clamp(min=1)
        return (others - mean)[anchors].mean()
