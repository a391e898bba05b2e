"""Distillations that COCONUT is compared with, and the weights between a loss and its distillation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def token_kd(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    *,
    pad_id: int = 0,
    form: Literal["ce", "kl"] = "ce",
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Token-level distillation on ground-truth prefixes: ``-Σ_v p_teacher(v) log p_student(v)`` a target.

    Args:
        student: logits [R, J, V] of the rehearsal rows.
        teacher: likewise; detached.
        targets: [R, J]; ``pad_id`` positions do not count.
        form: ``ce`` the cross-entropy, ``kl`` the same minus the teacher's entropy (0 for equal models).
        reduction: over the targets that are not padding.

    Returns:
        A scalar of at least float32; a zero with a graph where there is no target.

    Source: Cappellazzo et al., Interspeech 2023 (token-level KD); docs/losses.md.
    """
    with torch.autocast(student.device.type, enabled=False):
        valid = targets != pad_id
        if not bool(valid.any()):
            return zero(at_least_float32(student))
        log_student = at_least_float32(student)[valid].log_softmax(-1)
        log_teacher = at_least_float32(teacher.detach())[valid].log_softmax(-1)
        p = log_teacher.exp()
        each = -(p * log_student).sum(-1)
        if form == "kl":
            each = each + (p * log_teacher).sum(-1)
        return each.mean() if reduction == "mean" else each.sum()


def audio_kd(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``(h_A^n - h_A^{n-1})²`` over rehearsal rows, valid frames and dimensions.

    Args:
        student: [R, T, d], the encoder's output.
        teacher: [R, T, d]; detached.
        mask: [R, T], True = valid.

    Returns:
        A scalar of at least float32; a zero with a graph where no frame is valid.

    Source: Cappellazzo et al., Interspeech 2023 (audio KD); docs/losses.md.
    """
    with torch.autocast(student.device.type, enabled=False):
        if not bool(mask.any()):
            return zero(at_least_float32(student))
        return ((at_least_float32(student) - at_least_float32(teacher.detach()))[mask] ** 2).mean()


def kd_logits(
    student: Tensor, teacher: Tensor, *, temperature: float = 2.0, reduction: Literal["elements", "batch"] = "elements"
) -> Tensor:
    """Logit distillation of classifiers: ``τ² KL(softmax(teacher/τ) || softmax(student/τ))``.

    Args:
        student: [B, C]; only the first columns, those that the teacher has, count.
        teacher: [B, C_old]; detached.
        temperature: τ.
        reduction: ``elements`` averages over all B·C_old elements (the public code), ``batch`` over rows.

    Returns:
        A scalar of at least float32; a zero with a graph for an empty batch.

    Source: Hinton et al. 2015, section 2, as the author's public code of 2022 has it; docs/losses.md.
    """
    with torch.autocast(student.device.type, enabled=False):
        if student.shape[0] == 0:
            return zero(at_least_float32(student))
        log_s = (at_least_float32(student)[:, : teacher.shape[1]] / temperature).log_softmax(1)
        log_t = (at_least_float32(teacher.detach()) / temperature).log_softmax(1)
        total = F.kl_div(log_s, log_t, reduction="sum", log_target=True) * temperature**2
        return total / (log_s.numel() if reduction == "elements" else len(log_s))


def text_kd(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``(h_T^n - h_T^{n-1})²`` over the token embeddings of rehearsal rows: :func:`audio_kd` on text [R, J, d].

    Source: text KD beside audio KD in the COCONUT paper; docs/losses.md.
    """
    return audio_kd(student, teacher, mask)


def weight_sqrt_batch(n_rehearsal: int, n_batch: int) -> float:
    """``sqrt(|I_r| / B)``: weight of a distillation on rehearsal rows alone; 0 for an empty batch (docs/losses.md)."""
    return math.sqrt(n_rehearsal / n_batch) if n_batch else 0.0


def weight_log_ratio(n_old: int, n_classes: int) -> float:
    """``log(1 + C_old / C)``, C all classes known now: weight of a distillation on all rows; 0 for C = 0."""
    return math.log1p(n_old / n_classes) if n_classes else 0.0


def mix(current: Tensor, kd: Tensor, weight: float, *, keep_current: bool) -> Tensor:
    """``(1 - w) · current + w · kd``; with a second distillation active (``keep_current``) ``current + w · kd``.

    Scalars, nothing detached. Source: the author's public code of 2022; docs/losses.md.
    """
    return (current if keep_current else (1 - weight) * current) + weight * kd
