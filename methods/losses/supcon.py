"""Supervised contrastive loss in memory that grows with N, not N² (Khosla et al., NeurIPS 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, group_sums, log_sum_exp_others, zero


def supcon(z: Tensor, labels: Tensor, *, temperature: float = 0.1, block: int = 1024) -> Tensor:
    """``1/|A| Σ_{k∈A} -(1/|P(k)|) Σ_{p∈P(k)} [ z_k·z_p/τ - log Σ_{i≠k} exp(z_k·z_i/τ) ]``.

    P(k) = {p ≠ k: y_p = y_k}, A the rows with a positive. The positive term needs no matrix:
    ``Σ_p z_k·z_p = z_k·(S - z_k)``, S the sum of the rows of k's class. Nothing is detached.

    Args:
        z: [N, d], normalised inside.
        labels: [N] integers.
        temperature: τ.
        block: rows of the similarity matrix held at a time; extra memory is about ``block · N`` numbers.

    Returns:
        A scalar of at least float32, the mean over A; a zero with a graph where A is empty.

    Source: Khosla et al., NeurIPS 2020, eq. 2 (L_out), without anchors that have no positive.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        if len(z) == 0:
            return zero(z)
        normalised, positive, n_positive = _positives(z, labels, temperature)
        valid = (n_positive > 0).nonzero().flatten()
        if not len(valid):
            return zero(normalised)
        return (log_sum_exp_others(normalised, temperature, block) - positive)[valid].mean()


def supcon_by_anchor(
    z: Tensor, labels: Tensor, *, temperature: float = 0.1, block: int = 1024
) -> tuple[Tensor, Tensor]:
    """The terms of :func:`supcon`: the loss of every row [N], 0 where it has no positive, and which have one [N].

    Source: Khosla et al., NeurIPS 2020, eq. 2 (L_out).
    """
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        if len(z) < 2:
            return z.sum(1) * 0, torch.zeros(len(z), dtype=torch.bool, device=z.device)
        normalised, positive, n_positive = _positives(z, labels, temperature)
        terms = log_sum_exp_others(normalised, temperature, block) - positive
        return torch.where(n_positive > 0, terms, 0.0), n_positive > 0


def _positives(z: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised rows [N, d], the mean similarity to positives over τ [N], and how many positives there are [N]."""
    z = F.normalize(z, dim=1)
    sums, counts = group_sums(z, labels)
    n_positive = counts - 1
    return z, (z * (sums - z)).sum(1) / n_positive.clamp(min=1) / temperature, n_positive
