"""Connectionist temporal classification (Graves et al., ICML 2006), the second loss of hybrid speech recognisers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32


def ctc(
    logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int = 0
) -> tuple[Tensor, Tensor]:
    """``-(1/B) Σ_i log p(y_i | x_i) / |y_i|``, p summed over all alignments of y_i with the frames of x_i.

    Args:
        logits: [B, T, V] of every frame, unnormalised.
        lengths: [B] valid frames.
        targets: [B, J] ids, padded with anything; ``blank`` is none of them.
        target_lengths: [B] valid ids; an empty target counts as one id.
        blank: id of the blank.

    Returns:
        The loss, a scalar of at least float32, and the share of rows that have no alignment (fewer frames than their
        ids and repetitions need): such rows count 0 and give no gradient.

    Source: Graves et al. 2006, eqs. 3 and 7; divided by the target's length as in hybrid CTC/attention training
    (Watanabe et al. 2017).
    """
    with torch.autocast(logits.device.type, enabled=False):
        steps = at_least_float32(logits).log_softmax(-1).transpose(0, 1)
        arguments = (steps, targets, lengths, target_lengths, blank)
        each = F.ctc_loss(*arguments, reduction="none", zero_infinity=True)
        repeated = targets[:, 1:] == targets[:, :-1]
        valid = torch.arange(1, targets.shape[1], device=targets.device) < target_lengths[:, None]
        needed = target_lengths + (repeated & valid).sum(1)
        return (each / target_lengths.clamp(min=1)).mean(), (needed > lengths).float().mean()
