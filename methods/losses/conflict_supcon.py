"""Supervised contrastive loss whose positives weigh more where their styles differ."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, group_sums, log_sum_exp_others, zero


def conflict_supcon(
    z: Tensor,
    labels: Tensor,
    styles: Tensor,
    *,
    temperature: float = 0.1,
    conflict: float = 4.0,
    block: int = 1024,
) -> Tensor:
    """``1/|A| Σ_{i∈A} [ log Σ_{k≠i} exp(s_ik) - Σ_{q∈P(i)} w_iq s_iq / Σ_{q∈P(i)} w_iq ]``, s = cosine / τ.

    P(i) = {q ≠ i: y_q = y_i}, A the rows with a positive; w_iq is ω where the styles of i and q differ, 1 where they
    are alike. ω = 1 is the supervised contrastive loss, and as ω grows the loss becomes the bias-contrastive one. The
    positive term needs no matrix: it is a difference of sums over classes and over (class, style). Nothing is detached.

    Args:
        z: [N, d], normalised inside.
        labels: [N] integers, the class.
        styles: [N] integers, what the class is confused with (a voice, a background).
        temperature: τ.
        conflict: ω, weight of a positive of another style.
        block: rows of the similarity matrix held at a time; extra memory is about ``block · N`` numbers.

    Returns:
        A scalar of at least float32, the mean over A; a zero with a graph where A is empty.

    Raises:
        ValueError: shapes that do not fit, or a temperature or conflict that is not above 0.

    Source: ours, between Khosla et al., NeurIPS 2020, eq. 2 (L_out), and Hong and Yang, NeurIPS 2021 (BiasCon).
    """
    if z.dim() != 2 or labels.shape != z.shape[:1] or styles.shape != z.shape[:1]:
        shapes = ", ".join(str(tuple(x.shape)) for x in (z, labels, styles))
        raise ValueError(f"needs z [N, d], labels and styles [N]; got {shapes}")
    if not temperature > 0 or not conflict > 0:
        raise ValueError(f"temperature and conflict must be above 0, not {temperature} and {conflict}")
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        if len(z) < 2:
            return zero(z)
        z = F.normalize(z, dim=1)
        own = styles - styles.min()
        pair = labels * (own.max() + 1) + own  # one number for a class in a style
        sums, counts = group_sums(z, labels)
        alike, n_alike = group_sums(z, pair)  # of the same class and style, the row itself included
        weight = conflict * (counts - n_alike) + (n_alike - 1)  # [N]
        positive = (z * (conflict * (sums - alike) + (alike - z))).sum(1) / weight.clamp(min=1e-12) / temperature
        valid = weight > 0  # [N]; no index is made of it, for which a GPU would be waited for
        terms = torch.where(valid, log_sum_exp_others(z, temperature, block) - positive, 0.0)
        return terms.sum() / valid.sum().clamp(min=1)
