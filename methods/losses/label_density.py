"""Label density: weights (LDS) and feature calibration (FDS) of Delving into Imbalanced Regression (Yang et al., ICML 2021)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def kernel(size: int = 5, sigma: float = 2.0) -> Tensor:
    """Gaussian window of odd ``size``, its peak 1, float64 [size]. Raises ValueError for an even size."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the kernel's size must be odd, not {size}")
    place = torch.arange(size, dtype=torch.float64) - size // 2
    return torch.exp(-place.square() / (2 * sigma**2))


def bin_weights(
    counts: Tensor, *, reweight: Literal["sqrt_inv", "inverse", "none"] = "sqrt_inv", smooth: bool = True, size: int = 5, sigma: float = 2.0
) -> Tensor:  # fmt: skip
    """Weight 1 / c̃ of every bin, scaled so that the mean over the counted rows is 1; [bins] float64, 0 for an empty bin without smoothing.

    ``sqrt_inv``: c → √c; ``inverse``: c → clip(c, 5, 1000); then c̃ = c * kernel (zero padding) with ``smooth``. Source: spec section 7.
    """
    counts = counts.double()
    if reweight == "none":
        return torch.ones_like(counts)
    c = counts.sqrt() if reweight == "sqrt_inv" else counts.clamp(5, 1000)
    if smooth:
        c = F.conv1d(c[None, None], kernel(size, sigma)[None, None].to(c.device), padding=size // 2)[0, 0]
    weight = torch.where(c > 0, 1 / c.clamp(min=1e-12), 0.0)
    total = (weight * counts).sum()
    return weight * counts.sum() / total if float(total) > 0 else weight


def smooth_statistics(values: Tensor, size: int = 5, sigma: float = 2.0) -> Tensor:
    """Values [bins, d] smoothed over bins with the kernel of sum 1 and reflected borders (as many bins as the kernel's half, or more)."""
    window = kernel(size, sigma).to(values)
    padded = F.pad(values.T[:, None], (size // 2, size // 2), mode="reflect")
    return F.conv1d(padded, (window / window.sum())[None, None])[:, 0].T


def calibrate(
    f: Tensor,
    mean: Tensor,
    variance: Tensor,
    smooth_mean: Tensor,
    smooth_variance: Tensor,
    low: float = 0.1,
    high: float = 10.0,
) -> Tensor:
    """``(f - μ) √clip(ṽ/v, low, high) + μ̃``, each [B, d] of the rows' bins; rows whose Σv < 1e-10 stay as they are. Source: spec section 7."""
    ratio = (smooth_variance / variance.clamp(min=1e-12)).clamp(low, high)
    moved = (f - mean) * ratio.sqrt() + smooth_mean
    return torch.where((variance.sum(1) < 1e-10)[:, None], f, moved)
