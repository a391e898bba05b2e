"""Bias-contrastive loss and the independence criterion of ReBias (CDvG spec section 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .coconut import zero


def biascon(z: Tensor, labels: Tensor, bias: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Supervised contrast whose positives share the class and differ in bias:

    ``1/|A| Σ_{i∈A} 1/|P(i)| Σ_{q∈P(i)} [ log Σ_{k≠i} exp(s_ik) - s_iq ]``, P(i) = {q: y_q = y_i, b_q ≠ b_i}, A = rows with a positive.

    z [N, P], normalised inside; labels, bias [N]. A scalar of at least float32; zero with a graph where A is empty.
    Source: BiasCon's code, spec section 6 (the mean is over anchors with a positive, as in spec section 3).
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=1)
        positive = (labels[:, None] == labels) & (bias[:, None] != bias)  # [N, N]
        anchors = positive.any(1)
        if not bool(anchors.any()):
            return zero(z)
        s = z @ z.T / temperature
        others = s.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf).logsumexp(1)
        mean = (s * positive).sum(1) / positive.sum(1).clamp(min=1)
        return (others - mean)[anchors].mean()


def hsic(x: Tensor, y: Tensor, *, scale: float = 1.0) -> Tensor:
    """Unbiased HSIC of features x [N, d], y [N, e] with Gaussian kernels ``exp(-‖a - b‖² / (2 scale² d))``:

    ``[ tr(K̃L̃) + 1ᵀK̃1 1ᵀL̃1 / ((N-1)(N-2)) - 2/(N-2) 1ᵀK̃L̃1 ] / (N (N-3))``, diagonals of K̃, L̃ zero. Below 4 rows a zero with a graph.
    Source: Song et al. 2012 (estimator), ReBias (use), spec section 6.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, y = (v.to(torch.promote_types(v.dtype, torch.float32)) for v in (x, y))
        n = len(x)
        if n < 4:
            return zero(x) + zero(y)
        off = 1 - torch.eye(n, device=x.device, dtype=x.dtype)
        k, m = (_gauss(v, scale) * off for v in (x, y))
        cross = (k @ m).sum()
        total = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)
        return total / (n * (n - 3))


def _gauss(v: Tensor, scale: float) -> Tensor:
    square = v.square().sum(1)
    distance = (square[:, None] + square - 2 * v @ v.T).clamp(min=0)
    return torch.exp(-distance / (2 * scale**2 * v.shape[1]))
