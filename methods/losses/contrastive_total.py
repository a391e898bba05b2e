"""A task's loss with a contrastive term beside it: as a convex combination, or added."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def contrastive_total(
    task: Tensor, contrast: Tensor, weight: float, form: Literal["convex", "additive"] = "convex"
) -> Tensor:
    """``convex``: ``(1 - λ) L + λ L_con``; ``additive``: ``L + λ L_con``. With λ = 0 it is L itself, bit for bit.

    Args:
        task: L, a scalar.
        contrast: L_con, a scalar.
        weight: λ, not below 0, of the convex form at most 1.

    Raises:
        ValueError: λ outside its range.

    Source: Gunel et al., ICLR 2021, eq. 1 (convex); the additive form is ours (docs/methods/peft.md).
    """
    if weight < 0 or (form == "convex" and weight > 1):
        raise ValueError(f"the weight of the contrast lies in [0, 1], and of the additive form above: not {weight}")
    if not weight:
        return task
    return (1 - weight) * task + weight * contrast if form == "convex" else task + weight * contrast
