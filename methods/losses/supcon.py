"""Supervised contrastive loss in memory that grows with N, not N² (Khosla et al., NeurIPS 2020, eq. 2, L_out)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


class _LogSumExpOthers(torch.autograd.Function):
    """``log Σ_{i≠k} exp(z_k·z_i/τ)`` for every row k, [N]; the [N, N] similarities exist a block of rows at a time.

    One pass computes the value and, from the same block, what the gradient needs: with softmax weights w_ki and upstream g_k the
    gradient is ``(1/τ) Σ_i (g_k w_ki + g_i w_ik) z_i``; the backward pass recomputes blocks and keeps none.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float, block: int) -> Tensor:
        n = len(z)
        out = z.new_empty(n)
        scaled = z / temperature
        for start in range(0, n, block):
            similarity = scaled[start : start + block] @ z.T
            rows = torch.arange(len(similarity), device=z.device)
            similarity[rows, start + rows] = -torch.inf
            out[start : start + block] = similarity.logsumexp(1)
        ctx.save_for_backward(z, out)
        ctx.temperature, ctx.block = temperature, block
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        z, out = ctx.saved_tensors
        (g,) = gradients
        n = len(z)
        grad = torch.zeros_like(z)
        scaled = z / ctx.temperature
        for start in range(0, n, ctx.block):
            weight = scaled[start : start + ctx.block] @ z.T
            weight.sub_(out[start : start + ctx.block, None]).exp_()
            rows = torch.arange(len(weight), device=z.device)
            weight[rows, start + rows] = 0
            weight.mul_(g[start : start + ctx.block, None])
            grad[start : start + ctx.block] += weight @ z
            grad.addmm_(weight.T, z[start : start + ctx.block])
        return grad / ctx.temperature, None, None


def supcon(z: Tensor, labels: Tensor, *, temperature: float = 0.1, block: int = 1024) -> Tensor:
    """``mean over anchors k with a positive of -(1/|P(k)|) Σ_{p∈P(k)} [ z_k·z_p/τ - log Σ_{i≠k} exp(z_k·z_i/τ) ]``.

    The positive term needs no matrix: ``Σ_p z_k·z_p = z_k·(S_c - z_k)`` with S_c the sum of class c's rows.

    Args:
        z: [N, d], normalised inside.
        labels: [N] integers.
        block: rows of the similarity matrix held at a time; extra memory is about ``block · N`` numbers.

    Returns:
        A scalar of at least float32; zero with a graph where no row has a positive.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(at_least_float32(z), dim=1)
        if len(z) == 0:
            return zero(z)
        _, group, counts = labels.unique(return_inverse=True, return_counts=True)
        n_positive = counts[group] - 1
        valid = n_positive > 0
        if not bool(valid.any()):
            return zero(z)
        sums = z.new_zeros(len(counts), z.shape[1]).index_add(0, group, z)
        positive = (z * (sums[group] - z)).sum(1) / n_positive.clamp(min=1) / temperature
        others: Tensor = _LogSumExpOthers.apply(z, temperature, block)
        return (others - positive)[valid].mean()
