"""Gradients that must not work against a reference."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient_projection(gradient: Tensor, reference: Tensor) -> Tensor:
    """``g - (g·r / r·r) r`` where ``g·r < 0``, else g: the part that would raise the reference's loss is taken away.

    Args:
        gradient: g [D].
        reference: r [D]; of zeros: g is returned.

    Source: Chaudhry et al., Efficient lifelong learning with A-GEM, ICLR 2019, arXiv 1812.00420, the closed form of the
    projection.
    """
    dot = gradient @ reference
    square = reference @ reference
    share = torch.where((dot < 0) & (square > 0), dot / square.clamp(min=torch.finfo(square.dtype).tiny), 0.0)
    return gradient - share * reference
