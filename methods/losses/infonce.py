"""InfoNCE from queries to keys in one direction, with further negatives: the loss of RankGen."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def infonce(
    queries: Tensor,
    keys: Tensor,
    negatives: Tensor | None = None,
    *,
    temperature: float = 1.0,
    similarity: Literal["dot", "cosine"] = "dot",
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """``-Σ_i log[e^{q_i·k_i/τ} / (Σ_j e^{q_i·k_j/τ} + Σ_j e^{q_i·g_j/τ})]``, j over the whole batch; a scalar.

    The key of a query is that of its own row; the keys of the other rows and all ``negatives`` compete. It is at least
    0, and log of the number of competitors where all scores are equal. No gradient is stopped; no rows give a zero
    with a graph.

    Args:
        queries, keys: [n, d]. RankGen: prefixes and continuations of one document (in-book negatives).
        negatives: [m, d] or None. RankGen: continuations that a language model wrote.
        temperature: τ > 0; RankGen has none (1).
        similarity: the dot product as it is (RankGen), or of unit vectors.

    Raises:
        ValueError: shapes or a temperature that do not fit.

    Source: RankGen (arXiv 2205.09726), section 3.1; van den Oord et al. 2018, eq. 4.
    """
    if queries.dim() != 2 or queries.shape != keys.shape:
        raise ValueError(f"needs queries and keys [n, d], not {tuple(queries.shape)} and {tuple(keys.shape)}")
    if negatives is not None and (negatives.dim() != 2 or negatives.shape[1] != queries.shape[1]):
        raise ValueError(f"negatives must be [m, {queries.shape[1]}], not {tuple(negatives.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    q = at_least_float32(queries)
    k = at_least_float32(keys if negatives is None else torch.cat([keys, negatives]))
    if not len(q):
        return zero(q, k)
    if similarity == "cosine":
        q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
    own = torch.arange(len(q), device=q.device)
    return F.cross_entropy(q @ k.T / temperature, own, reduction=reduction)
