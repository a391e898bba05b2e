"""What the losses share: precision, a zero with a graph, checks of their input, means over valid frames."""

from __future__ import annotations

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
