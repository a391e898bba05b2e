"""Sampled bounds of the mutual information I(c; s) by a Gaussian q(s | c): vCLUB, vUB, leave one out.

q has diagonal covariance; its mean and log variance [n, d] are a network's outputs for the rows of c.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .numerics import at_least_float32, zero


def gaussian_log_density(s: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """``log N(s_i; mean_i, diag exp(log_variance_i))`` of every row, [n]; s, mean and log_variance [n, d]."""
    _check(s, mean, log_variance)
    with torch.autocast(s.device.type, enabled=False):
        s, mean, log_variance = (at_least_float32(x) for x in (s, mean, log_variance))
        each = (s - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi)
        return -each.sum(1) / 2


def vclub(s: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """``1/n Σ_i log q(s_i | c_i) - 1/n² Σ_ij log q(s_j | c_i)``, the second sum in closed form (moments of s).

    Args:
        s: [n, d] samples; mean, log_variance: [n, d] of q(· | c_i).

    Returns:
        A scalar of at least float32, which may be negative; a zero with a graph for n = 0. Nothing is detached.

    Raises:
        ValueError: shapes that differ.

    Source: Cheng et al., ICML 2020, eq. 14 (CLUB).
    """
    _check(s, mean, log_variance)
    with torch.autocast(s.device.type, enabled=False):
        s, mean, log_variance = (at_least_float32(x) for x in (s, mean, log_variance))
        if not len(s):
            return zero(s, mean, log_variance)
        centre = s.mean(0)
        spread = (s - centre).square().mean(0)
        others = spread + (mean - centre).square()  # mean over j of (s_j - mean_i)²
        each = torch.exp(-log_variance) * (others - (s - mean).square())
        return each.sum(1).mean() / 2


def vub(s: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """``1/n Σ_i [ log q(s_i | c_i) - log N(s_i; 0, I) ]``; shapes, errors and corners as :func:`vclub`.

    Source: Alemi et al., ICLR 2017, eq. 14 (the variational upper bound, with a standard normal marginal).
    """
    if not len(s):
        return zero(s, mean, log_variance)
    nothing = torch.zeros_like(s)
    return (gaussian_log_density(s, mean, log_variance) - gaussian_log_density(s, nothing, nothing)).mean()


def l1out(s: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """``1/n Σ_i [ log q(s_i | c_i) - log( 1/(n-1) Σ_{j≠i} q(s_i | c_j) ) ]``; shapes and errors as :func:`vclub`.

    The [n, n] log densities are held at once. A zero with a graph for n < 2.

    Source: Poole et al., ICML 2019, eq. 13 (leave one out).
    """
    _check(s, mean, log_variance)
    with torch.autocast(s.device.type, enabled=False):
        s, mean, log_variance = (at_least_float32(x) for x in (s, mean, log_variance))
        n = len(s)
        if n < 2:
            return zero(s, mean, log_variance)
        wide, centre, log_v = s.double(), mean.double(), log_variance.double()
        precision = torch.exp(-log_v)
        square = wide.square() @ precision.T - 2 * wide @ (centre * precision).T + (centre.square() * precision).sum(1)
        constant = (log_v + math.log(2 * math.pi)).sum(1)
        log_q = -(square.clamp(min=0) + constant) / 2  # [i, j]: s_i under c_j
        own = torch.eye(n, dtype=torch.bool, device=s.device)
        others = log_q.masked_fill(own, -torch.inf).logsumexp(1) - math.log(n - 1)
        return (log_q.diagonal() - others).mean().to(s.dtype)


def _check(s: Tensor, mean: Tensor, log_variance: Tensor) -> None:
    if s.dim() != 2 or not s.shape == mean.shape == log_variance.shape:
        raise ValueError(
            f"needs samples, means and log variances [n, d], got {tuple(s.shape)}, {tuple(mean.shape)}, "
            f"{tuple(log_variance.shape)}"
        )
