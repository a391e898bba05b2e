"""Training of the widest network alone, sliced afterwards: the lower bound, which collapses."""

from __future__ import annotations

from typing import ClassVar

from .sandwich import Slimmable


class NaiveSlice(Slimmable):
    """Evaluated at all widths (statistics calibrated), trained at full width."""

    name: ClassVar[str] = "naive_slice"
    summary: ClassVar[str] = "multi-task network trained at full width, sliced for evaluation"


METHOD = NaiveSlice
