"""Balancing of several tasks' losses: uncertainty weighting and GradNorm's objective."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import at_least_float32


def uncertainty_weighted(losses: Tensor, log_variances: Tensor) -> Tensor:
    """``Σ_i exp(-s_i) L_i / 2 + s_i / 2`` of losses and learnt log variances s = log σ² [N].

    Returns a scalar of at least float32. Raises ValueError for shapes that differ. Source: Kendall, Gal and Cipolla,
    CVPR 2018.
    """
    if losses.dim() != 1 or losses.shape != log_variances.shape:
        raise ValueError(f"one log variance a loss: {tuple(losses.shape)}, {tuple(log_variances.shape)}")
    with torch.autocast(losses.device.type, enabled=False):
        loss, s = at_least_float32(losses), at_least_float32(log_variances)
        return ((-s).exp() * loss + s).sum() / 2


def gradnorm(norms: Tensor, losses: Tensor, first: Tensor, weights: Tensor, alpha: float) -> Tensor:
    """``Σ_i abs(w_i ‖g_i‖ - mean_j(w_j ‖g_j‖) ρ_i^α)``.

    Args:
        norms: ‖g_i‖ [N], norm of the gradient of the loss of task i on shared weights; detached.
        losses, first: L_i now and at the first step, [N]; detached. ρ_i = (L_i / L_i(0)) / their mean over tasks.
        weights: w [N]; gradients reach them through w_i ‖g_i‖ alone, the target is detached.
        alpha: α ≥ 0, how strongly slower tasks are pulled up.

    Returns:
        A scalar of at least float32. A task whose first loss is 0 counts as one that has not moved.

    Raises:
        ValueError: shapes that differ.

    Source: GradNorm, Chen et al., ICML 2018, equation 2.
    """
    if not norms.shape == losses.shape == first.shape == weights.shape or norms.dim() != 1:
        raise ValueError("norms, losses, first losses and weights are all [N]")
    with torch.autocast(weights.device.type, enabled=False):
        g, now, then = (at_least_float32(each.detach()) for each in (norms, losses, first))
        w = at_least_float32(weights)
        moved = torch.where(then > 0, now / then.clamp(min=1e-12), torch.ones_like(now))
        rate = moved / moved.mean().clamp(min=1e-12)
        weighted = w * g
        target = (weighted.mean() * rate**alpha).detach()
        return (weighted - target).abs().sum()
