"""Rank-N-Contrast (Zha et al., NeurIPS 2023): a pair against all pairs that are at least as far in label."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import at_least_float32, zero


def _distances(f: Tensor) -> Tensor:
    """Euclidean distances [M, M]; the diagonal is 0 and has no gradient, and rows that coincide have gradient 0."""
    square = (f[:, None] - f[None]).square().sum(2) if len(f) <= 64 else _squares(f)
    near = square <= 1e-12
    return torch.where(near, 0.0, torch.where(near, 1.0, square).sqrt())


def _squares(f: Tensor) -> Tensor:
    own = f.square().sum(1)
    return (own[:, None] + own[None] - 2 * f @ f.T).clamp(min=0) * (
        1 - torch.eye(len(f), dtype=f.dtype, device=f.device)
    )


def rnc(f: Tensor, y: Tensor, *, temperature: float = 2.0) -> Tensor:
    """``1/(M(M-1)) Σ_i Σ_{j≠i} -log( e^{-|f_i-f_j|/τ} / Σ_{k∈S_ij} e^{-|f_i-f_k|/τ} )``, Euclidean distances.

    S_ij = {k ≠ i: |y_i-y_k| ≥ |y_i-y_j|}, j included. The inner sums of an anchor are one cumulative log-sum-exp over
    its label distances in falling order: O(M² log M) and no [M, M, M]. Labels are detached.

    Args:
        f: [M, d] features of V views, M = V·N, all first views first; not normalised.
        y: [N] labels, repeated for each view.
        temperature: τ.

    Returns:
        A scalar of at least float32, the mean over all pairs; a zero with a graph for fewer than two rows.

    Raises:
        ValueError: rows of f that are no multiple of the labels, or a temperature that is not positive.

    Source: Zha et al., NeurIPS 2023; docs/losses.md.
    """
    if f.dim() != 2 or y.dim() != 1 or (len(y) and len(f) % len(y)) or not temperature > 0:
        raise ValueError(
            f"f [V·N, d], y [N] and a positive temperature, not {list(f.shape)}, {list(y.shape)}, {temperature}"
        )
    with torch.autocast(f.device.type, enabled=False):
        f = at_least_float32(f)
        m = len(f)
        if m < 2:
            return zero(f)
        y = y.detach().to(f.device, torch.float64).repeat(m // len(y))
        own = torch.eye(m, dtype=torch.bool, device=f.device)
        logits = -_distances(f) / temperature
        away = (y[:, None] - y[None]).abs().masked_fill(own, -1.0)  # the anchor itself comes last
        order = torch.argsort(away, dim=1, descending=True, stable=True)
        falling = -away.gather(1, order)  # ascending
        top = logits.detach().masked_fill(own, -torch.inf).amax(1, keepdim=True)
        sums = (logits - top).masked_fill(own, -1e30).gather(1, order).logcumsumexp(1) + top
        last = torch.searchsorted(falling, -away, right=True) - 1  # the last of those at the same distance
        each = (sums.gather(1, last) - logits).masked_fill(own, 0.0)
        return each.sum() / (m * (m - 1))
