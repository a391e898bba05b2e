"""COCONUT's audio-text loss MM (Cappellazzo et al., Findings of ACL 2024, arXiv 2310.02699)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .numerics import check_pair, prepare, zero


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
    """``m_k = -(1/|P(k)|) Σ_{p∈P(k)} [ log softmax_i(s(a_k, t_i)/τ)_p + log softmax_i(s(t_k, a_i)/τ)_p ]``, not halved.

    k are the anchors (new rows by default), i all rows, P(k) the rows of k's class, k included; s is the cosine, or the
    dot product without ``normalize``. Nothing is detached.

    Args:
        audio: [B, d] projected, not normalised; gets gradient.
        text: [B, d] likewise.
        labels: [B] integers.
        is_memory: [B] bool, rehearsal rows.
        temperature: τ.
        anchors: the ``new`` rows, or ``all``.
        normalize: rows are scaled to unit length first.
        reduction: over the anchors.

    Returns:
        A scalar of at least float32; a zero with a graph where there is no anchor.

    Raises:
        ValueError: shapes that do not fit, or temperature <= 0.

    Source: arXiv 2310.02699, the multi-modal loss; what is our reading stands in docs/losses.md.
    """
    check_pair(audio, text, labels, is_memory, temperature)
    with torch.autocast(audio.device.type, enabled=False):
        a, t = prepare(audio, normalize), prepare(text, normalize)
        anchor = (~is_memory if anchors == "new" else torch.ones_like(is_memory)).nonzero().flatten()
        if not len(anchor):
            return zero(a, t)
        similarity = a @ t.T / temperature  # [B, B]
        positive = labels[:, None] == labels[None]
        share = positive.to(a.dtype) / positive.sum(1, keepdim=True)
        loss = -((similarity.log_softmax(1) + similarity.T.log_softmax(1)) * share).sum(1)[anchor]
        return loss.mean() if reduction == "mean" else loss.sum()
