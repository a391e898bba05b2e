"""What the losses share: precision, a zero with a graph, checks of their input, blocked log-sum-exp, masked means."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def zero(*tensors: Tensor) -> Tensor:
    """A scalar zero through which gradients (zeros) flow to ``tensors``."""
    total = tensors[0].new_zeros(())
    for tensor in tensors:
        total = total + tensor.sum() * 0
    return total


def prepare(x: Tensor, normalize: bool) -> Tensor:
    """``x`` [B, d] in at least float32, its rows of unit length where ``normalize`` says so."""
    x = at_least_float32(x)
    return F.normalize(x, dim=1) if normalize else x


def check_pair(x: Tensor, y: Tensor, labels: Tensor, is_memory: Tensor, temperature: float) -> None:
    """Raises ValueError for two views [B, d], labels [B], is_memory [B] or a temperature that do not fit a contrast."""
    if x.dim() != 2 or x.shape != y.shape or labels.shape != x.shape[:1] or is_memory.shape != x.shape[:1]:
        raise ValueError(
            f"needs two [B, d] tensors and labels, is_memory [B]; got {tuple(x.shape)}, {tuple(y.shape)}, "
            f"{tuple(labels.shape)}, {tuple(is_memory.shape)}"
        )
    if is_memory.dtype != torch.bool:
        raise ValueError(f"is_memory must be bool, not {is_memory.dtype}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in its own type where that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def masked_mean(h: Tensor, mask: Tensor) -> Tensor:
    """Mean over valid frames: h [B, T, d], mask [B, T] (True = valid) → [B, d]; a row without frames gives zeros."""
    weight = mask.to(h.dtype)[..., None]
    return (h * weight).sum(1) / weight.sum(1).clamp(min=1)


def group_sums(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """For every row of z [N, d] the sum of the rows with its label, itself included, [N, d], and their number [N]."""
    _, group, counts = labels.unique(return_inverse=True, return_counts=True)
    sums = z.new_zeros(len(counts), z.shape[1]).index_add(0, group, z)
    return sums[group], counts[group]


def log_sum_exp_others(z: Tensor, temperature: float, block: int) -> Tensor:
    """``log Σ_{i≠k} exp(z_k·z_i/τ)`` for every row k of z [N, d], [N]; -inf for N = 1.

    The [N, N] similarities exist ``block`` rows at a time, in both passes: extra memory is about ``block · N`` numbers.
    """
    result: Tensor = _LogSumExpOthers.apply(z, temperature, block)
    return result


class _LogSumExpOthers(torch.autograd.Function):
    """One pass gives the values; the backward pass recomputes the blocks and keeps none.

    With softmax weights w_ki and incoming gradient g_k the gradient is ``(1/τ) Σ_i (g_k w_ki + g_i w_ik) z_i``.
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
