"""In-place distillation of outputs (Yu and Huang, Universally slimmable networks, ICCV 2019)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def logit_kd(student: Tensor, teacher: Tensor) -> Tensor:
    """``-mean Σ_k softmax(t)_k log softmax(s)_k`` over classes k, temperature 1; the teacher is detached.

    Args:
        student, teacher: logits [B, K, ...]; the mean is over all B (and pixels).

    Returns:
        A scalar of at least float32; 0 with a graph for an empty batch.

    Raises:
        ValueError: shapes that differ.

    Source: Yu and Huang, ICCV 2019, in-place distillation.
    """
    if student.shape != teacher.shape or student.dim() < 2:
        raise ValueError(f"needs equal logits [B, K, ...]; got {tuple(student.shape)}, {tuple(teacher.shape)}")
    with torch.autocast(student.device.type, enabled=False):
        s, t = at_least_float32(student), at_least_float32(teacher.detach())
        if not s.numel():
            return zero(s)
        return -(t.softmax(1) * F.log_softmax(s, 1)).sum(1).mean()


def output_l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of abs(s - t) over all elements, the teacher detached: in-place distillation of what is no class.

    Returns a scalar of at least float32; 0 with a graph for an empty batch. Raises ValueError for shapes that differ.
    Source: our reading, docs/methods/slimmable.md.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"needs equal shapes; got {tuple(student.shape)}, {tuple(teacher.shape)}")
    with torch.autocast(student.device.type, enabled=False):
        s, t = at_least_float32(student), at_least_float32(teacher.detach())
        return (s - t).abs().mean() if s.numel() else zero(s)
