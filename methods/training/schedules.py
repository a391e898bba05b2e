"""Learning rate over the optimizer steps of a stage, as a factor of its first value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

Schedule = Literal["constant", "cosine", "multistep"]


def factor_of(
    schedule: Schedule,
    *,
    steps_per_epoch: int,
    epochs: int,
    warmup: int = 0,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
) -> Callable[[int], float] | None:
    """The factor of the learning rate at optimizer step s (from 0); None where it is 1 throughout.

    With T = ``steps_per_epoch * epochs`` and w = ``warmup``: ``(s + 1) / w`` while s < w; then ``constant`` 1, ``cosine``
    ``(1 + cos(π (s - w) / (T - w))) / 2``, ``multistep`` ``gamma`` to the power of the milestones (epochs, counted from 0) that have begun.

    Args:
        steps_per_epoch: optimizer steps, not batches: ``ceil(batches / accumulate)``.
    """
    total = max(1, steps_per_epoch * epochs)
    begins = [milestone * steps_per_epoch for milestone in milestones] if schedule == "multistep" else []
    if schedule == "constant" and not warmup:
        return None

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))
        return gamma ** sum(step >= begin for begin in begins)

    return factor
