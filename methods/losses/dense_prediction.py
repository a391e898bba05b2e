"""Losses of dense prediction: segmentation, binary maps, surface normals, depth.

Pixels with the label ``IGNORE`` count nowhere: changing a prediction there changes nothing. Without a valid pixel each
loss is 0 with a graph. All are computed in at least float32. Source: the definitions that the survey of multi-task
dense prediction (Vandenhende et al., 2021) trains with; docs/methods/slimmable.md, "Losses".
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .numerics import at_least_float32, zero

IGNORE = 255


def segmentation_ce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over valid pixels of the cross-entropy; logits [B, K, H, W], labels [B, H, W] or [B, 1, H, W] of classes.

    Raises ValueError for shapes that do not fit. Source: this file's head.
    """
    y = labels.squeeze(1) if labels.dim() == logits.dim() else labels
    if logits.dim() != 4 or y.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(f"needs logits [B, K, H, W] and labels [B, H, W]; got {_shapes(logits, labels)}")
    with torch.autocast(logits.device.type, enabled=False):
        x, y = at_least_float32(logits), y.long()
        count = (y != IGNORE).sum().clamp(min=1)  # no valid pixel: the sum is a zero with a graph
        return F.cross_entropy(x, y, ignore_index=IGNORE, reduction="sum") / count


def balanced_bce(logits: Tensor, labels: Tensor, pos_weight: float | None = None) -> Tensor:
    """``(w Σ_pos + (1 - w) Σ_neg) / #pixels`` of the binary cross-entropies, logits and labels [B, 1, H, W].

    Labels of 0.5 and more are positive. ``w`` = ``pos_weight``, or None: the share of negative pixels in the batch, so
    that a batch with one kind alone gives 0. Saliency uses None, edges 0.95. Raises ValueError for shapes that differ.
    Source: this file's head.
    """
    if logits.shape != labels.shape:
        raise ValueError(f"needs equal shapes; got {_shapes(logits, labels)}")
    with torch.autocast(logits.device.type, enabled=False):
        x = at_least_float32(logits)
        valid = labels != IGNORE
        count = valid.sum()
        if not bool(count):
            return zero(x)
        positive = (labels >= 0.5) & valid
        each = F.binary_cross_entropy_with_logits(x, positive.to(x.dtype), reduction="none")
        negative = valid & ~positive
        # the share in float32, whatever the logits are: the released code's, and its published numbers'
        w = negative.float().sum() / count.float() if pos_weight is None else pos_weight
        nothing = each.new_zeros(())
        of_positive = torch.where(positive, each, nothing).sum()
        of_negative = torch.where(negative, each, nothing).sum()
        return (w * of_positive + (1 - w) * of_negative) / count


def normals_l1(prediction: Tensor, labels: Tensor) -> Tensor:
    """L1 distance of predicted normals, each divided by (its length + 1e-12), to unit normals; both [B, 3, H, W].

    The sum over valid *elements* divided by their number (three a pixel): a third of what a division by pixels gives.
    Raises ValueError for shapes that differ. Source: this file's head.
    """
    if prediction.shape != labels.shape or prediction.dim() < 2:
        raise ValueError(f"needs equal shapes [B, 3, ...]; got {_shapes(prediction, labels)}")
    with torch.autocast(prediction.device.type, enabled=False):
        x = at_least_float32(prediction)
        unit = x / (x.norm(dim=1, keepdim=True) + 1e-12)
        return _valid_l1(unit, labels)


def depth_l1(prediction: Tensor, labels: Tensor) -> Tensor:
    """Mean over valid pixels of abs(prediction - label). Raises ValueError for shapes that differ."""
    if prediction.shape != labels.shape:
        raise ValueError(f"needs equal shapes; got {_shapes(prediction, labels)}")
    with torch.autocast(prediction.device.type, enabled=False):
        return _valid_l1(at_least_float32(prediction), labels)


def _valid_l1(x: Tensor, labels: Tensor) -> Tensor:
    valid = labels != IGNORE
    away = torch.where(valid, x - labels.to(x.dtype), x.new_zeros(()))
    return away.abs().sum() / valid.sum().clamp(min=1)  # no valid pixel: a zero with a graph


def _shapes(*tensors: Tensor) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
