"""Token cross-entropy with teacher forcing: the transcription loss of COCONUT (arXiv 2310.02699)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def transcription(logits: Tensor, targets: Tensor, *, pad_id: int = 0, include_pad: bool = False) -> Tensor:
    """``-(1/n) Σ log p(y_j | y_<j, x)`` over the n targets that are not padding.

    Args:
        logits: [B, J, V].
        targets: [B, J] ids; ``pad_id`` marks padding.
        pad_id: id of the padding.
        include_pad: average over padding too, as the author's public code does.

    Returns:
        A scalar of at least float32; a zero with a graph where every target is padding.

    Source: L_ASR of arXiv 2310.02699, averaged over tokens; docs/losses.md.
    """
    with torch.autocast(logits.device.type, enabled=False):
        if targets.numel() == 0 or not (include_pad or bool((targets != pad_id).any())):
            return zero(at_least_float32(logits))
        return F.cross_entropy(
            at_least_float32(logits).flatten(0, 1), targets.flatten(), ignore_index=-100 if include_pad else pad_id
        )
