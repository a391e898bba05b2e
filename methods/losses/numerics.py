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


def log_sum_gauss(z: Tensor, *, others: bool = False, block: int = 256) -> Tensor:
    """``log Σ_j exp(-‖z_i - z_j‖² / 2)`` for every row i of z [n, d], [n]; with ``others`` over j ≠ i (-inf for n = 1).

    Distances are made ``block`` rows at a time and again in the backward pass: extra memory is about ``block · n``
    numbers. They come from float64 products of centred rows, since those of float32 lose what near rows differ by.
    """
    result: Tensor = _LogSumGauss.apply(z, others, block)
    return result


class _LogSumGauss(torch.autograd.Function):
    """With the shares w_ij of row i's sum and the incoming gradient g the gradient is
    ``-Σ_j (g_i w_ij + g_j w_ji) (z_i - z_j)``. No second derivative.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, others: bool, block: int) -> Tensor:
        n = len(z)
        wide = z.double() - z.double().mean(0) if n else z.double()
        out = torch.empty(n, dtype=z.dtype, device=z.device)
        for start in range(0, n, block):
            out[start : start + block] = _log_kernel(wide, start, block, others, z.dtype).logsumexp(1)
        ctx.save_for_backward(wide, out)
        ctx.others, ctx.block = others, block
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        wide, out = ctx.saved_tensors
        (g,) = gradients
        points = wide.to(out.dtype)
        pulled, weights = torch.zeros_like(points), torch.zeros_like(out)
        for start in range(0, len(out), ctx.block):
            rows = slice(start, start + ctx.block)
            share = _log_kernel(wide, start, ctx.block, ctx.others, out.dtype)
            share.sub_(out[rows, None]).exp_().mul_(g[rows, None])
            pulled[rows] += share @ points
            pulled.addmm_(share.T, points[rows])
            weights[rows] += share.sum(1)
            weights += share.sum(0)
        return pulled - weights[:, None] * points, None, None


def _log_kernel(wide: Tensor, start: int, block: int, others: bool, dtype: torch.dtype) -> Tensor:
    """-‖z_i - z_j‖² / 2 of the rows i from ``start`` on, [block, n]; -inf at j = i where ``others`` count alone."""
    part = wide[start : start + block]
    half = wide.square().sum(1) / 2
    log_k = torch.addmm(half[start : start + block, None] + half, part, wide.T, alpha=-1)
    log_k = log_k.clamp_(min=0).neg_().to(dtype)
    own = torch.arange(len(part), device=wide.device)
    log_k[own, start + own] = -torch.inf if others else 0.0
    return log_k
