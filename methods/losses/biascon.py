"""Bias-contrastive loss and the independence criterion of ReBias (CDvG spec section 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def biascon(z: Tensor, labels: Tensor, bias: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Supervised contrast whose positives share the class and differ in bias:

    ``1/|A| Σ_{i∈A} 1/|P(i)| Σ_{q∈P(i)} [ log Σ_{k≠i} exp(s_ik) - s_iq ]``, P(i) = {q: y_q = y_i, b_q ≠ b_i}, A = rows with a positive.

    z [N, P], normalised inside; labels, bias [N]. A scalar of at least float32; zero with a graph where A is empty.
    Source: BiasCon's code, spec section 6 (the mean is over anchors with a positive, as in spec section 3).
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(at_least_float32(z), dim=1)
        positive = (labels[:, None] == labels) & (bias[:, None] != bias)  # [N, N]
        anchors = positive.any(1)
        if not bool(anchors.any()):
            return zero(z)
        s = z @ z.T / temperature
        others = s.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf).logsumexp(1)
        mean = (s * positive).sum(1) / positive.sum(1).clamp(min=1)
        return (others - mean)[anchors].mean()
