"""Mixup: convex combinations of rows and of their targets (Zhang et al., ICLR 2018), of vectors and of padded texts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def mixed_rows(x: Tensor, order: Tensor, share: float | Tensor) -> Tensor:
    """``λ x_i + (1 - λ) x_π(i)`` for every row i of x [B, ...].

    Args:
        x: [B, ...].
        order: π, [B] row numbers.
        share: λ, a number, or one a row [B].

    Source: Zhang et al. (mixup), ICLR 2018, eq. 1; Guo et al. 2019, arXiv 1905.08941, of words and of sentences.
    """
    weight = torch.as_tensor(share, dtype=x.dtype, device=x.device)
    weight = weight.view(-1, *[1] * (x.dim() - 1)) if weight.dim() else weight
    return weight * x + (1 - weight) * x[order]


def mixed_mask(mask: Tensor, order: Tensor) -> Tensor:
    """``mask_i OR mask_π(i)``, [B, S]: a mixed text has a token wherever one of its two has one."""
    return (mask.bool() | mask[order].bool()).to(mask.dtype)


def mixed_targets(labels: Tensor, order: Tensor, share: float | Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """``λ e(y_i) + (1 - λ) e(y_π(i))``, [B, C], e the unit vector of a class."""
    return mixed_rows(F.one_hot(labels, classes).to(dtype), order, share)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """``-1/B Σ_i Σ_c t_ic log softmax(a_i)_c``; of a class at -inf nothing counts where its target is 0.

    With the targets of :func:`mixed_targets` this is ``λ CE(a, y) + (1 - λ) CE(a, y_π)``, row by row.

    Args:
        logits: a, [B, C].
        targets: t, [B, C], not below 0; as a rule each row sums to 1.

    Returns:
        A scalar of at least float32; a zero with a graph for B = 0.

    Raises:
        ValueError: targets of another shape than the logits.

    Source: Zhang et al. (mixup), ICLR 2018, section 2.
    """
    if logits.shape != targets.shape:
        raise ValueError(f"targets {tuple(targets.shape)} must be shaped as the logits {tuple(logits.shape)}")
    if not len(logits):
        return zero(logits)
    with torch.autocast(logits.device.type, enabled=False):
        logits = at_least_float32(logits)
        surprise = -F.log_softmax(logits, 1)
        targets = targets.to(logits.dtype)
        return torch.where(targets > 0, targets * surprise.masked_fill(targets <= 0, 0), 0.0).sum(1).mean()
