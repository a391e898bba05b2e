"""SimCTG: a loss that keeps a language model's token representations apart, and the score of contrastive search."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def simctg_contrastive(hidden: Tensor, mask: Tensor, margin: float = 0.5) -> Tensor:
    """``Σ_b Σ_{i≠j valid} max(0, ρ - 1 + cos(h_i, h_j)) / Σ_b n_b (n_b - 1)``, a scalar.

    The divisor pools over the batch, so that long rows weigh more. No gradient is stopped. Rows of at most one valid
    token add nothing; where no pair is left the result is a zero with a graph. A zero vector has cosine 0 to all.

    Args:
        hidden: last hidden states [B, T, d].
        mask: [B, T] bool, True where a token is valid.
        margin: ρ >= 0; 0 gives 0 up to rounding.

    Raises:
        ValueError: shapes that do not fit, a negative margin.

    Source: SimCTG (Su et al. 2022), eq. 2, pooled as its public code does.
    """
    if hidden.dim() != 3 or mask.shape != hidden.shape[:2]:
        raise ValueError(f"needs hidden [B, T, d] and mask [B, T], not {tuple(hidden.shape)} and {tuple(mask.shape)}")
    if margin < 0:
        raise ValueError(f"margin must not be negative, not {margin}")
    h = F.normalize(at_least_float32(hidden), dim=2, eps=1e-12)
    similarity = h @ h.transpose(1, 2)
    pairs = mask[:, :, None] & mask[:, None, :]
    pairs = pairs & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    count = int(pairs.sum())
    if not count:
        return zero(h)
    return (margin - 1 + similarity).clamp(min=0).masked_fill(~pairs, 0.0).sum() / count


def degeneration_scores(
    context: Tensor, mask: Tensor, candidates: Tensor, probabilities: Tensor, alpha: float = 0.6
) -> Tensor:
    """``(1 - α) p(v) - α max_j cos(h_v, h_j)`` of each candidate, [B, k], in [-α, 1]; the largest is chosen.

    Args:
        context: hidden states of all tokens so far, prompt included, [B, T, d].
        mask: [B, T] bool; padding does not count. A row without context pays no penalty.
        candidates: hidden states that the candidates would have, [B, k, d].
        probabilities: p(v) under the full softmax, [B, k].
        alpha: α in 0..1; 0 is greedy search.

    Raises:
        ValueError: shapes that do not fit, α outside 0..1.

    Source: contrastive search (Su et al. 2022), eq. 5; p is not renormalised over the candidates, as its public code.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in 0..1, not {alpha}")
    if mask.shape != context.shape[:2] or probabilities.shape != candidates.shape[:2]:
        raise ValueError(
            f"needs context [B, T, d] with mask [B, T], and candidates [B, k, d] with probabilities [B, k], not "
            f"{tuple(context.shape)}, {tuple(mask.shape)}, {tuple(candidates.shape)}, {tuple(probabilities.shape)}"
        )
    h, v = (F.normalize(at_least_float32(x), dim=-1, eps=1e-12) for x in (context, candidates))
    cosine = (v @ h.transpose(1, 2)).masked_fill(~mask[:, None, :], -torch.inf).amax(-1)
    cosine = torch.where(mask.any(1)[:, None], cosine, 0.0)
    return (1 - alpha) * at_least_float32(probabilities) - alpha * cosine
