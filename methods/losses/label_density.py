"""Label density in imbalanced regression: weights (LDS) and feature calibration (FDS) (Yang et al., ICML 2021)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Kernel = Literal["gaussian", "triangular", "laplace"]


def kernel(size: int = 5, sigma: float = 2.0, shape: Kernel = "gaussian") -> Tensor:
    """Window over bins, its peak 1, float64 [size].

    gaussian: the unit impulse of ``size`` bins smoothed by ``exp(-d²/2σ²)``, |d| ≤ ⌊4σ + ½⌋, whatever leaves the window
    being reflected at its borders (scipy's ``gaussian_filter1d``); triangular: ``1 - 2|d| / (size + 1)``; laplace:
    ``exp(-|d| / σ)``.

    Raises:
        ValueError: an even size, or a sigma that is not positive.

    Source: Yang et al., ICML 2021, with the three kernels of their public code; docs/losses.md.
    """
    if size < 1 or size % 2 == 0 or not sigma > 0:
        raise ValueError(f"the kernel needs an odd size and a positive sigma, not {size} and {sigma}")
    half = size // 2
    away = (torch.arange(size, dtype=torch.float64) - half).abs()
    if shape == "triangular":
        return 1 - 2 * away / (size + 1)
    if shape == "laplace":
        return torch.exp(-away / sigma)
    reach = int(4 * sigma + 0.5)
    shift = torch.arange(-reach, reach + 1)
    column = (half + shift) % (2 * size)  # reflected at both borders, again and again: period 2 · size
    column = torch.minimum(column, 2 * size - 1 - column)
    weight = torch.exp(-shift.double().square() / (2 * sigma**2))
    window = torch.zeros(size, dtype=torch.float64).index_add(0, column, weight)
    return window / window.max()


def bin_weights(
    counts: Tensor,
    *,
    reweight: Literal["sqrt_inv", "inverse", "none"] = "sqrt_inv",
    smooth: bool = True,
    size: int = 5,
    sigma: float = 2.0,
    shape: Kernel = "gaussian",
) -> Tensor:
    """Weight 1 / c̃ of every bin, scaled so that the mean over the counted rows is 1.

    Args:
        counts: [bins], rows of each bin.
        reweight: ``sqrt_inv``: c → √c; ``inverse``: c → clip(c, 5, 1000); ``none``: every weight is 1.
        smooth: c̃ = c convolved with :func:`kernel`, zeros beyond the borders; else c̃ = c.
        size, sigma, shape: those of the kernel.

    Returns:
        [bins] float64; 0 for an empty bin without smoothing.

    Source: Yang et al., ICML 2021 (LDS); docs/losses.md.
    """
    counts = counts.double()
    if reweight == "none":
        return torch.ones_like(counts)
    c = counts.sqrt() if reweight == "sqrt_inv" else counts.clamp(5, 1000)
    if smooth:
        c = F.conv1d(c[None, None], kernel(size, sigma, shape)[None, None].to(c.device), padding=size // 2)[0, 0]
    weight = torch.where(c > 0, 1 / c.clamp(min=1e-12), 0.0)
    total = (weight * counts).sum()
    return torch.where(total > 0, weight * counts.sum() / total, weight)  # without a look at the value: no wait


def bin_statistics(
    f: Tensor, bins: Tensor, mean: Tensor, variance: Tensor, seen: Tensor, momentum: float = 0.9
) -> tuple[Tensor, Tensor, Tensor]:
    """``new = momentum · old + (1 - momentum) · current`` of every bin with rows; a bin's first epoch replaces.

    Args:
        f: [N, d], the features of an epoch.
        bins: [N], the bin of each row.
        mean, variance: [bins, d] as they were; not changed in place.
        seen: [bins] bool, which bins ever had a row.
        momentum: share of the old value.

    Returns:
        The new mean, variance (unbiased; of one row 0) and seen. Bins without a row stay as they are.

    Source: Yang et al., ICML 2021 (FDS); docs/losses.md.
    """
    mean, variance, seen = mean.clone(), variance.clone(), seen.clone()
    for b in bins.unique().tolist():
        own = f[bins == b]
        keep = momentum if bool(seen[b]) else 0.0
        mean[b] = keep * mean[b] + (1 - keep) * own.mean(0)
        variance[b] = keep * variance[b] + (1 - keep) * own.var(0, unbiased=len(own) > 1)
        seen[b] = True
    return mean, variance, seen


def smooth_statistics(values: Tensor, size: int = 5, sigma: float = 2.0, shape: Kernel = "gaussian") -> Tensor:
    """Values [bins, d] smoothed over bins with the kernel of sum 1 and reflected borders, [bins, d].

    There must be more bins than half the kernel's size, or the padding raises RuntimeError. Source: FDS, as above.
    """
    window = kernel(size, sigma, shape)
    padded = F.pad(values.T[:, None], (size // 2, size // 2), mode="reflect")
    return F.conv1d(padded, (window / window.sum()).to(values)[None, None])[:, 0].T


def calibrate(
    f: Tensor,
    mean: Tensor,
    variance: Tensor,
    smooth_mean: Tensor,
    smooth_variance: Tensor,
    low: float = 0.1,
    high: float = 10.0,
) -> Tensor:
    """``(f - μ) √clip(ṽ/v, low, high) + μ̃``, each [B, d] of the rows' bins; rows whose Σv < 1e-10 stay as they are.

    Source: Yang et al., ICML 2021 (FDS); docs/losses.md.
    """
    ratio = (smooth_variance / variance.clamp(min=1e-12)).clamp(low, high)
    moved = (f - mean) * ratio.sqrt() + smooth_mean
    return torch.where((variance.sum(1) < 1e-10)[:, None], f, moved)
