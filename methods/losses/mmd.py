"""Maximum mean discrepancy with a sum of Gaussian kernels, as MM-cVAE uses it (Weinberger et al., 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .numerics import at_least_float32, zero

GAMMAS = tuple(10.0**power for power in range(-6, 7))


def mmd(x: Tensor, y: Tensor, *, gammas: Sequence[float] = GAMMAS, block: int = 64) -> Tensor:
    """``max(0, mean k(x, x') + mean k(y, y') - 2 mean k(x, y))``, ``k(a, b) = Σ_m exp(-γ_m ‖a - b‖²)``, all pairs.

    The biased estimate (a V-statistic: each row is paired with itself too). Nothing is detached; 0 with a graph where
    x or y has no row.

    Args:
        x, y: [n, d] and [m, d].
        gammas: the widths γ_m.
        block: rows of pairs held at a time; extra memory is about ``block · m · d`` numbers.

    Raises:
        ValueError: x and y are not of one width.

    Source: Gretton et al., JMLR 2012, eq. 5; MM-cVAE's public code (kernels, clamp).
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"needs rows of one width, got {tuple(x.shape)} and {tuple(y.shape)}")
    with torch.autocast(x.device.type, enabled=False):
        x, y = at_least_float32(x), at_least_float32(y)
        if not len(x) or not len(y):
            return zero(x, y)
        widths = x.new_tensor(list(gammas))
        own = _mean_kernel(x, x, widths, block) + _mean_kernel(y, y, widths, block)
        return (own - 2 * _mean_kernel(x, y, widths, block)).clamp(min=0)


def _mean_kernel(x: Tensor, y: Tensor, gammas: Tensor, block: int) -> Tensor:
    parts = [checkpoint(_kernel_sum, part, y, gammas, use_reentrant=False) for part in x.split(block)]
    return torch.stack(parts).sum() / (len(x) * len(y))


def _kernel_sum(x: Tensor, y: Tensor, gammas: Tensor) -> Tensor:
    square = (x[:, None] - y).square().sum(2)
    total = x.new_zeros(())
    for gamma in gammas:
        total = total + torch.exp(-gamma * square).sum()
    return total
