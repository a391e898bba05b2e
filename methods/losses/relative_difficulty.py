"""The weights of samples in Learning from Failure: moving averages of two networks' losses."""

from __future__ import annotations

import torch
from torch import Tensor


def moving_average(old: Tensor, new: Tensor, seen: Tensor, *, alpha: float = 0.7) -> Tensor:
    """``alpha · old + (1 - alpha) · new`` where a row was seen before, else ``new``; all [B], nothing is detached.

    Source: Nam et al. (LfF, NeurIPS 2020), whose public code keeps the first loss as it is; docs/losses.md.
    """
    return torch.where(seen, alpha * old + (1 - alpha) * new, new)


def relative_difficulty(biased: Tensor, debiased: Tensor, *, eps: float = 1e-8) -> Tensor:
    """``w = b / (b + d + eps)`` in [0, 1], [B], detached.

    Args:
        biased, debiased: b, d ≥ 0 [B], the averaged losses of the two networks divided by the largest of their class.
        eps: keeps 0 / 0 at 0.

    Source: Nam et al. (LfF, NeurIPS 2020); docs/losses.md.
    """
    biased, debiased = biased.detach(), debiased.detach()
    return biased / (biased + debiased + eps)
