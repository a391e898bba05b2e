"""Jensen-Shannon divergence of two distributions over a vocabulary."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from .numerics import at_least_float32


def js_divergence(
    p: Tensor, q: Tensor, form: Literal["textbook", "reversed"] = "textbook", base: float = math.e
) -> Tensor:
    """``½ KL(p ‖ m) + ½ KL(q ‖ m)``, m = (p + q) / 2, of logits p, q [..., V]: [...], in 0..ln 2 nats.

    ``reversed``: ``½ KL(m ‖ p) + ½ KL(m ‖ q)`` divided by V, what DoLa's public code computes; it has no upper bound
    and may choose another layer. ``base``: of the logarithm; 2 gives 0..1 (textbook).

    Computed from log-probabilities, so that an exact zero adds nothing; every leading index has its own value.

    Raises:
        ValueError: shapes that differ.

    Source: Lin (1991), eq. 3.5; AdaCAD (arXiv 2409.07394) and DoLa (Chuang et al. 2024), public codes.
    """
    if p.shape != q.shape:
        raise ValueError(
            f"the divergence is of two rows over one vocabulary, not {tuple(p.shape)} and {tuple(q.shape)}"
        )
    log_p, log_q = (at_least_float32(x).log_softmax(-1) for x in (p, q))
    log_m = log_p.logaddexp(log_q) - math.log(2)
    if form == "textbook":
        total = _kl(log_p, log_m) + _kl(log_q, log_m)
    else:
        total = (_kl(log_m, log_p) + _kl(log_m, log_q)) / p.shape[-1]
    return total.clamp(min=0) / (2 * math.log(base))


def _kl(log_a: Tensor, log_b: Tensor) -> Tensor:
    gap = (log_a - log_b).masked_fill(log_a == -math.inf, 0.0)
    return (log_a.exp() * gap).sum(-1)
