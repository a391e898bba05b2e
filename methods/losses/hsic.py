"""HSIC with Gaussian kernels: the independence criterion of ReBias (Bahng et al., ICML 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import at_least_float32, zero


def hsic(x: Tensor, y: Tensor, *, scale: float = 1.0) -> Tensor:
    """``[ tr(K̃L̃) + 1ᵀK̃1 1ᵀL̃1 / ((N-1)(N-2)) - 2/(N-2) 1ᵀK̃L̃1 ] / (N (N-3))``, the unbiased estimate.

    K̃, L̃ are kernel matrices ``exp(-‖a - b‖² / (2 scale² d))`` of x and of y with zero diagonals. Nothing is detached.

    Args:
        x: [N, d] features.
        y: [N, e] features.
        scale: width of the kernels, in units of the root of the dimension.

    Returns:
        A scalar of at least float32, which may be negative; a zero with a graph below 4 rows.

    Source: Song et al., JMLR 2012 (estimator); Bahng et al., ICML 2020 (use); docs/losses.md.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, y = (at_least_float32(v) for v in (x, y))
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
