"""RankSim (Gong et al., ICML 2022): features should be ranked by similarity as labels are by distance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def ranks(s: Tensor) -> Tensor:
    """Descending ranks along the last axis of s [..., n], divided by n: the largest has 1/n, the smallest 1.

    Of equal values the first has the lower rank. No gradient. Source: RankSim, as below.
    """
    n = s.shape[-1]
    position = torch.argsort(torch.argsort(s, dim=-1, descending=True, stable=True), dim=-1)
    return (position + 1).to(s.dtype) / n


class _Rank(torch.autograd.Function):
    """Ranks, with black-box differentiation: ``-(rk(s) - rk(s + λ g)) / λ`` for the incoming gradient g."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, step: float) -> Tensor:
        out = ranks(s)
        ctx.save_for_backward(s, out)
        ctx.step = step
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        s, out = ctx.saved_tensors
        return -(out - ranks(s + ctx.step * gradients[0])) / (ctx.step + 1e-8), None


def ranksim(f: Tensor, y: Tensor, *, generator: torch.Generator, step: float = 2.0) -> Tensor:
    """``Σ_i mean_j (rk(S_i)_j - rk(-|y_i - y|)_j)²`` over one random row of each distinct label.

    S are the cosine similarities of f, rk the descending ranks divided by their number; its gradient is that of
    black-box differentiation. Labels are detached.

    Args:
        f: [B, d] features.
        y: [B] labels.
        generator: draws the row of each label, on the CPU.
        step: λ of the black-box gradient.

    Returns:
        A scalar of at least float32, the sum over rows; a zero with a graph for fewer than two distinct labels.

    Raises:
        ValueError: shapes that do not fit, or a step that is not positive.

    Source: Gong et al., ICML 2022; docs/losses.md.
    """
    if f.dim() != 2 or y.shape != f.shape[:1] or not step > 0:
        raise ValueError(f"f [B, d], y [B] and a positive step, not {list(f.shape)}, {list(y.shape)}, {step}")
    with torch.autocast(f.device.type, enabled=False):
        f = at_least_float32(f)
        shuffle = torch.randperm(len(y), generator=generator).to(y.device)
        shuffled = y.detach()[shuffle]
        values, group = shuffled.unique(return_inverse=True)
        if len(values) < 2:
            return zero(f)
        first = torch.full((len(values),), len(y), device=y.device).scatter_reduce(
            0, group, torch.arange(len(y), device=y.device), "amin"
        )
        rows = shuffle[first]
        z = F.normalize(f[rows], dim=1)
        labels = values.to(torch.float64)
        label_ranks = ranks(-(labels[:, None] - labels[None]).abs()).to(z.dtype)
        feature_ranks: Tensor = _Rank.apply(z @ z.T, step)
        return (feature_ranks - label_ranks).square().mean(1).sum()
