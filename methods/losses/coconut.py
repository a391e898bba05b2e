"""COCONUT's contrastive losses: NSPT (with its variants) and the audio-text loss MM.

Cappellazzo et al., Findings of ACL 2024 (arXiv 2310.02699); spec sections 3.2 and 3.3. Inside, float32 at least with autocast off,
log-sum-exp; a batch without a valid anchor gives a zero that still has a graph.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def zero(*tensors: Tensor) -> Tensor:
    """A scalar zero through which gradients (zeros) flow to ``tensors``."""
    total = tensors[0].new_zeros(())
    for tensor in tensors:
        total = total + tensor.sum() * 0
    return total


def _prepare(x: Tensor, normalize: bool) -> Tensor:
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.normalize(x, dim=1) if normalize else x


def nspt(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    is_memory: Tensor,
    *,
    temperature: float = 0.1,
    negatives: Literal["student", "teacher"] = "student",
    positives: Literal["student", "teacher"] = "teacher",
    denominator: Literal["all", "others", "new", "negatives"] = "all",
    include_self_positive: bool = True,
    normalize: bool = True,
    anchors: Literal["rehearsal", "all"] = "rehearsal",
    reduction: Literal["mean", "sum", "batch"] = "mean",
) -> Tensor:
    """Negative-student positive-teacher supervised contrastive distillation.

    ``l_k = -(1/|P(k)|) Σ_{p∈P(k)} [ s(a_k, b_p)/τ - log Σ_{i∈D(k)} exp(s(a_k, c_i)/τ) ]`` for anchors k, where a is the student,
    b the positives' network (teacher by default: NSPT, NTPT) and c the negatives' (student by default); P(k) are the rows of k's
    class; D(k) is ``all`` rows, the ``others``, the ``new`` ones, or those of another class (``negatives``). A student's own row is
    never its own positive (``positives="student"``).

    Args:
        student: [B, d] projected, not normalised.
        teacher: [B, d]; detached. Rows that neither positives nor denominator read may hold anything finite.
        labels: [B] integers, the class of the intent token.
        is_memory: [B] bool, rehearsal rows.
        reduction: ``mean`` or ``sum`` over the anchors that have a positive and a denominator; the others are not counted.
            ``batch``: that sum divided by B, so that an anchor weighs as much as a row of a loss averaged over the batch.

    Returns:
        A scalar of at least float32; gradients flow to ``student`` alone. Zero with a graph where no anchor is valid.

    Raises:
        ValueError: shapes that do not fit, or temperature <= 0.

    Source: spec section 3.2 (eq. 5 of the paper, as quoted by its reviewers).
    """
    _check(student, teacher, labels, is_memory, temperature)
    with torch.autocast(student.device.type, enabled=False):
        a = _prepare(student, normalize)
        t = _prepare(teacher.detach(), normalize)
        n = len(a)
        own = torch.eye(n, dtype=torch.bool, device=a.device)
        same = labels[:, None] == labels[None]
        anchor = is_memory if anchors == "rehearsal" else torch.ones_like(is_memory)
        if not bool(anchor.any()):
            return zero(a)
        positive = same if include_self_positive and positives == "teacher" else same & ~own  # [B, B]
        allowed = {
            "all": torch.ones_like(same),
            "others": ~own,
            "new": (~is_memory)[None].expand(n, n),
            "negatives": ~same,
        }[denominator]
        similarity_p = a @ (t if positives == "teacher" else a).T / temperature
        similarity_n = a @ (t if negatives == "teacher" else a).T / temperature
        n_positive = positive.sum(1)
        valid = anchor & (n_positive > 0) & allowed.any(1)
        if not bool(valid.any()):
            return zero(a)
        # an anchor without a denominator is set to one over all rows, so that its gradient stays finite, and left out
        rows = allowed | ~allowed.any(1, keepdim=True)
        log_denominator = similarity_n.masked_fill(~rows, -torch.inf).logsumexp(1)  # [B]
        mean_positive = (similarity_p * positive).sum(1) / n_positive.clamp(min=1)
        loss = (log_denominator - mean_positive)[valid]
        if reduction == "batch":
            return loss.sum() / n
        return loss.mean() if reduction == "mean" else loss.sum()


def multimodal(
    audio: Tensor,
    text: Tensor,
    labels: Tensor,
    is_memory: Tensor,
    *,
    temperature: float = 0.1,
    anchors: Literal["new", "all"] = "new",
    normalize: bool = True,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Supervised audio-text contrastive loss MM.

    ``m_k = -(1/|P(k)|) Σ_{p∈P(k)} [ log softmax_i(s(a_k, t_i)/τ)_p + log softmax_i(s(t_k, a_i)/τ)_p ]`` for anchors k (new rows by
    default), i over all rows, P(k) the rows of k's class, k included; not halved.

    Args:
        audio: [B, d] projected, not normalised; gets gradient.
        text: [B, d] likewise.
        labels: [B] integers.
        is_memory: [B] bool.
        reduction: over the anchors.

    Returns:
        A scalar of at least float32; zero with a graph where there is no anchor.

    Raises:
        ValueError: shapes that do not fit, or temperature <= 0.

    Source: spec section 3.3.
    """
    _check(audio, text, labels, is_memory, temperature)
    with torch.autocast(audio.device.type, enabled=False):
        a, t = _prepare(audio, normalize), _prepare(text, normalize)
        anchor = ~is_memory if anchors == "new" else torch.ones_like(is_memory)
        if not bool(anchor.any()):
            return zero(a, t)
        similarity = a @ t.T / temperature  # [B, B]
        positive = labels[:, None] == labels[None]
        share = positive.to(a.dtype) / positive.sum(1, keepdim=True)
        loss = -((similarity.log_softmax(1) + similarity.T.log_softmax(1)) * share).sum(1)[anchor]
        return loss.mean() if reduction == "mean" else loss.sum()


def _check(x: Tensor, y: Tensor, labels: Tensor, is_memory: Tensor, temperature: float) -> None:
    if x.dim() != 2 or x.shape != y.shape or labels.shape != x.shape[:1] or is_memory.shape != x.shape[:1]:
        raise ValueError(
            f"needs two [B, d] tensors and labels, is_memory [B]; got {tuple(x.shape)}, {tuple(y.shape)}, "
            f"{tuple(labels.shape)}, {tuple(is_memory.shape)}"
        )
    if is_memory.dtype != torch.bool:
        raise ValueError(f"is_memory must be bool, not {is_memory.dtype}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
