"""Transcription loss and the distillations beside COCONUT (spec sections 3.1 and 3.5)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .coconut import zero


def _float(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def masked_mean(h: Tensor, mask: Tensor) -> Tensor:
    """Mean over valid frames: h [B, T, d], mask [B, T] (True = valid) → [B, d]; a row without frames gives zeros."""
    weight = mask.to(h.dtype)[..., None]
    return (h * weight).sum(1) / weight.sum(1).clamp(min=1)


def transcription(logits: Tensor, targets: Tensor, *, pad_id: int = 0, include_pad: bool = False) -> Tensor:
    """Token cross-entropy with teacher forcing: ``-(1/n) Σ log p(y_j | y_<j, x)`` over the n targets that are not padding.

    Args:
        logits: [B, J, V].
        targets: [B, J] ids; ``pad_id`` marks padding.
        include_pad: average over padding too, as the public code does (spec section 3.1).

    Returns:
        A scalar; zero with a graph where every target is padding.

    Source: COCONUT spec section 3.1 (L_ASR).
    """
    with torch.autocast(logits.device.type, enabled=False):
        if targets.numel() == 0 or not (include_pad or bool((targets != pad_id).any())):
            return zero(_float(logits))
        return F.cross_entropy(
            _float(logits).flatten(0, 1), targets.flatten(), ignore_index=-100 if include_pad else pad_id
        )


def token_kd(
    student: Tensor, teacher: Tensor, targets: Tensor, *, pad_id: int = 0, form: Literal["ce", "kl"] = "ce",
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:  # fmt: skip
    """Token-level distillation on ground-truth prefixes: ``-Σ_v p_teacher(v) log p_student(v)`` over targets that are not padding.

    Args:
        student: logits [R, J, V] of the rehearsal rows.
        teacher: likewise; detached.
        targets: [R, J]; ``pad_id`` positions do not count.
        form: ``ce`` the cross-entropy, ``kl`` the same minus the teacher's entropy (0 for equal models).

    Returns:
        A scalar; zero with a graph where there is no target.

    Source: spec section 3.5, tok-KD.
    """
    with torch.autocast(student.device.type, enabled=False):
        valid = targets != pad_id
        if not bool(valid.any()):
            return zero(_float(student))
        log_student = _float(student)[valid].log_softmax(-1)
        log_teacher = _float(teacher.detach())[valid].log_softmax(-1)
        p = log_teacher.exp()
        each = -(p * log_student).sum(-1)
        if form == "kl":
            each = each + (p * log_teacher).sum(-1)
        return each.mean() if reduction == "mean" else each.sum()


def audio_kd(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``(h_A^n - h_A^{n-1})²`` over rehearsal rows, valid frames and dimensions.

    Args:
        student: [R, T, d].
        teacher: [R, T, d]; detached.
        mask: [R, T], True = valid.

    Source: spec section 3.5, A-KD.
    """
    with torch.autocast(student.device.type, enabled=False):
        if not bool(mask.any()):
            return zero(_float(student))
        return ((_float(student) - _float(teacher.detach()))[mask] ** 2).mean()


def kd_logits(
    student: Tensor, teacher: Tensor, *, temperature: float = 2.0, reduction: Literal["elements", "batch"] = "elements"
) -> Tensor:
    """Logit distillation of classifiers: ``τ² KL(softmax(teacher/τ) || softmax(student/τ))``.

    Args:
        student: [B, C]; only the first columns, those that the teacher has, count.
        teacher: [B, C_old]; detached.
        reduction: ``elements`` averages over all B·C_old elements (the public code), ``batch`` over rows.

    Source: spec section 3.5, golden section ``kd_logits``.
    """
    with torch.autocast(student.device.type, enabled=False):
        if student.shape[0] == 0:
            return zero(_float(student))
        log_s = (_float(student)[:, : teacher.shape[1]] / temperature).log_softmax(1)
        log_t = (_float(teacher.detach()) / temperature).log_softmax(1)
        total = F.kl_div(log_s, log_t, reduction="sum", log_target=True) * temperature**2
        return total / (log_s.numel() if reduction == "elements" else len(log_s))


def text_kd(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``(h_T^n - h_T^{n-1})²`` over the token embeddings of rehearsal rows: :func:`audio_kd` on text [R, J, d].

    Source: spec section 3.5, T-KD.
    """
    return audio_kd(student, teacher, mask)


def weight_sqrt_batch(n_rehearsal: int, n_batch: int) -> float:
    """``sqrt(|I_r| / B)``: weight of a distillation on rehearsal rows alone (spec section 3.5); 0 for an empty batch."""
    return math.sqrt(n_rehearsal / n_batch) if n_batch else 0.0


def weight_log_ratio(n_old: int, n_classes: int) -> float:
    """``log(1 + C_old / C)``, C all classes known now: weight of a distillation on all rows (spec section 3.5; golden ``kd_logits``)."""
    return math.log1p(n_old / n_classes) if n_classes else 0.0


def mix(current: Tensor, kd: Tensor, weight: float, *, keep_current: bool) -> Tensor:
    """``(1 - w) · current + w · kd``; with a second distillation active (``keep_current``) ``current + w · kd``.

    Source: spec section 3.5, golden ``kd_logits``.
    """
    return (current if keep_current else (1 - weight) * current) + weight * kd
