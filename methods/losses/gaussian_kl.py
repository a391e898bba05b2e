"""KL of a diagonal Gaussian from a centred one, and its decomposition into three terms (β-TCVAE)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .numerics import at_least_float32, zero


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``1/n Σ_i Σ_k (μ² + e^v - v - 1) / 2`` with v the log variance: KL from N(0, I), mean over rows.

    Args:
        mean, log_variance: [n, d].

    Returns:
        A scalar of at least float32; a zero with a graph without rows.

    Source: Kingma and Welling, ICLR 2014, appendix B.
    """
    with torch.autocast(mean.device.type, enabled=False):
        mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
        if not len(mean):
            return zero(mean, log_variance)
        return (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean() / 2


def decomposed_kl(
    z: Tensor, mean: Tensor, log_variance: Tensor, n_rows: int, *, block: int = 64
) -> tuple[Tensor, Tensor, Tensor]:
    """Index-code mutual information, total correlation, dimension-wise KL; estimates of q(z) from the batch.

    ``log q(z_i) ≈ log Σ_j q(z_i | x_j) - log(n N)`` and the same for each dimension (minibatch-weighted sampling); the
    three add up to ``mean_i [log q(z_i | x_i) - log N(z_i; 0, I)]``.

    Args:
        z: [n, d] samples; mean, log_variance: [n, d] of q(z | x_i).
        n_rows: N, rows of the data set.
        block: rows of z held at a time; extra memory is about ``block · n · d`` numbers.

    Returns:
        Three scalars of at least float32; zeros with a graph without rows. Nothing is detached.

    Source: Chen et al., NeurIPS 2018, eq. 2 and eq. S6 (β-TCVAE).
    """
    with torch.autocast(z.device.type, enabled=False):
        z, mean, log_variance = (at_least_float32(x) for x in (z, mean, log_variance))
        n = len(z)
        if not n:
            nothing = zero(z, mean, log_variance)
            return nothing, nothing, nothing
        parts = [checkpoint(_log_marginals, part, mean, log_variance, use_reentrant=False) for part in z.split(block)]
        whole, each = (torch.cat([part[k] for part in parts]) for k in range(2))
        offset = math.log(n * n_rows)
        log_q, log_product = whole - offset, (each - offset).sum(1)
        log_posterior = _log_normal(z, mean, log_variance).sum(1)
        nothing = torch.zeros_like(z)
        log_prior = _log_normal(z, nothing, nothing).sum(1)
        return (log_posterior - log_q).mean(), (log_q - log_product).mean(), (log_product - log_prior).mean()


def _log_marginals(z: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """log Σ_j q(z_i | x_j), [b], and of each dimension, [b, d]."""
    log_q = _log_normal(z[:, None], mean, log_variance)
    return log_q.sum(2).logsumexp(1), log_q.logsumexp(1)


def _log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return -((z - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi)) / 2
