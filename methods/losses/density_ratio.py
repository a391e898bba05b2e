"""Total correlation of two codes by a classifier of joint against shuffled pairs (the density ratio trick)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero


def discriminator_loss(joint: Tensor, shuffled: Tensor) -> Tensor:
    """``( mean softplus(-T(c, s)) + mean softplus(T(c, s')) ) / 2``: cross-entropy of the classifier T.

    Args:
        joint, shuffled: [n] logits of pairs of one row, and of pairs whose s is another row's.

    Returns:
        A scalar of at least float32; a zero with a graph without rows.

    Source: Kim and Mnih, ICML 2018, algorithm 2 (FactorVAE).
    """
    with torch.autocast(joint.device.type, enabled=False):
        joint, shuffled = at_least_float32(joint), at_least_float32(shuffled)
        if not len(joint) or not len(shuffled):
            return zero(joint, shuffled)
        return (F.softplus(-joint).mean() + F.softplus(shuffled).mean()) / 2


def density_ratio(joint: Tensor, *, form: Literal["mean", "relu"] = "mean") -> Tensor:
    """``mean T(c, s)``, which estimates KL(p(c, s) ‖ p(c) p(s)); ``relu``: ``mean max(0, T(c, s))``, which cannot go
    below 0. ``joint`` [n] logits of pairs of one row; a zero with a graph without rows.

    Source: Kim and Mnih, ICML 2018, eq. 3; the relu is of SepVAE's public code (there a sum over rows).
    """
    with torch.autocast(joint.device.type, enabled=False):
        joint = at_least_float32(joint)
        if not len(joint):
            return zero(joint)
        return (F.relu(joint) if form == "relu" else joint).mean()
