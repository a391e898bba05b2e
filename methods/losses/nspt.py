"""COCONUT's contrastive loss NSPT, with its variants (Cappellazzo et al., Findings of ACL 2024, arXiv 2310.02699)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .numerics import check_pair, prepare, zero


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
    """``l_k = -(1/|P(k)|) Σ_{p∈P(k)} [ s(a_k, b_p)/τ - log Σ_{i∈D(k)} exp(s(a_k, c_i)/τ) ]`` for anchors k.

    a is the student, b the network of the positives (teacher by default) and c that of the negatives (student by
    default): NSPT, negatives from the student and positives from the teacher. P(k) are the rows of k's class, with k
    itself where the positives are the teacher's and ``include_self_positive``; the student's own row is never its own
    positive. s is the cosine, or the dot product without ``normalize``.

    Args:
        student: [B, d] projected, not normalised.
        teacher: [B, d]; detached. Rows that neither positives nor denominator use may hold anything finite.
        labels: [B] integers, the class of the intent token.
        is_memory: [B] bool, rehearsal rows.
        temperature: τ.
        negatives, positives: the network that c and b are of.
        denominator: D(k): ``all`` rows, the ``others``, the ``new`` ones, or those of another class (``negatives``).
        anchors: ``rehearsal`` rows, or ``all``.
        reduction: ``mean`` or ``sum`` over the anchors that have a positive and a denominator; others do not count.
            ``batch``: that sum divided by B: an anchor weighs as much as a row of a loss averaged over the batch.

    Returns:
        A scalar of at least float32; gradients flow to ``student`` alone. A zero with a graph where no anchor is valid.

    Raises:
        ValueError: shapes that do not fit, or temperature <= 0.

    Source: arXiv 2310.02699, eq. 5, as its public reviews quote it; what is our reading stands in docs/losses.md.
    """
    check_pair(student, teacher, labels, is_memory, temperature)
    with torch.autocast(student.device.type, enabled=False):
        a = prepare(student, normalize)
        t = prepare(teacher.detach(), normalize)
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
        valid = (anchor & (n_positive > 0) & allowed.any(1)).nonzero().flatten()
        if not len(valid):
            return zero(a)
        # an anchor without a denominator is set to one over all rows, so that its gradient stays finite, and left out
        rows = allowed | ~allowed.any(1, keepdim=True)
        log_denominator = similarity_n.masked_fill(~rows, -torch.inf).logsumexp(1)  # [B]
        mean_positive = (similarity_p * positive).sum(1) / n_positive.clamp(min=1)
        loss = (log_denominator - mean_positive)[valid]
        if reduction == "batch":
            return loss.sum() / n
        return loss.mean() if reduction == "mean" else loss.sum()
