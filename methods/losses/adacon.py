"""Adaptive contrast (AdaCon, Dai et al., MICCAI 2021): a margin that grows with the distance of labels."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import at_least_float32, zero


def adacon(z: Tensor, y: Tensor, cdf: Tensor, *, scale: float = 150.0, norm: float = 0.2) -> Tensor:
    """``1/|A| Σ_{i∈A} -(1/|P_i|) Σ_{p∈P_i} [ l_ip - log Σ_{k≠i} exp(l_ik) ]`` with logits

    ``l_ik = scale (z_i·z_k + 1[y_i≠y_k] clamp(norm |F(y_i) - F(y_k)|, 0, 2))``, F the empirical distribution of labels,
    P_i = {p ≠ i: y_p = y_i}, A the rows with a positive. Labels and F are detached.

    Args:
        z: [V·N, d] unit rows, all first views, then all second ones.
        y: [N] labels; equality is exact.
        cdf: [N], F(y) in percent (0 to 100), or in any unit for which ``norm`` is meant.
        scale: the inverse of a temperature.
        norm: margin a unit of F.

    Returns:
        A scalar of at least float32, the mean over A; a zero with a graph where A is empty.

    Raises:
        ValueError: shapes that do not fit.

    Source: Dai et al., MICCAI 2021; the margin is added to the similarities as in the public code (docs/losses.md).
    """
    if z.dim() != 2 or y.dim() != 1 or cdf.shape != y.shape or (len(y) and len(z) % len(y)):
        raise ValueError(f"z [V·N, d], y and cdf [N], not {list(z.shape)}, {list(y.shape)}, {list(cdf.shape)}")
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        m = len(z)
        if m < 2:
            return zero(z)
        y = y.detach().to(z.device, torch.float64).repeat(m // len(y))
        f = cdf.detach().to(z.device, z.dtype).repeat(m // len(cdf))
        own = torch.eye(m, dtype=torch.bool, device=z.device)
        same = (y[:, None] == y[None]) & ~own
        margin = (norm * (f[:, None] - f[None]).abs()).clamp(0, 2).masked_fill(y[:, None] == y[None], 0.0)
        logits = scale * (z @ z.T + margin)
        log_p = logits - logits.masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
        count = same.sum(1)
        counted = count > 0
        if not bool(counted.any()):
            return zero(z)
        each = -(log_p * same).sum(1)[counted] / count[counted]
        return each.mean()
