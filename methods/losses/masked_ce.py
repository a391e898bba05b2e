"""Cross-entropy among some of the classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def masked_ce(scores: Tensor, targets: Tensor, classes: Tensor) -> Tensor:
    """Mean over rows of ``-s_y + log Σ_{c in classes} exp s_c``: the other classes get no gradient.

    Args:
        scores: logits [B, C].
        targets: [B] int64, each one of ``classes``.
        classes: [K] int64, class numbers, each once.

    Returns:
        A scalar of at least float32; a zero with a graph for an empty batch.

    Raises:
        ValueError: a target that is not among ``classes``.

    Source: Caccia et al., New insights on reducing abrupt representation change in online continual learning, ICLR
    2022, arXiv 2104.05025: the term of the incoming rows (ER-ACE).
    """
    with torch.autocast(scores.device.type, enabled=False):
        scores = at_least_float32(scores)
        if not len(scores):
            return zero(scores)
        place = torch.full((scores.shape[1],), -1, dtype=torch.int64, device=scores.device)
        place[classes] = torch.arange(len(classes), device=scores.device)
        own = place[targets]
        if bool((own < 0).any()):
            raise ValueError("a target is none of the classes that the cross-entropy is over")
        return F.cross_entropy(scores[:, classes], own)
