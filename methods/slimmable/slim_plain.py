"""Sandwich training without any distillation: the baseline of CI-KD (λ = 0)."""

from __future__ import annotations

from typing import ClassVar

from .sandwich import Sandwich


class SlimPlain(Sandwich):
    """Widest, narrowest and random configurations on the tasks' losses alone."""

    name: ClassVar[str] = "slim_plain"
    summary: ClassVar[str] = "slimmable multi-task network by the sandwich rule, no distillation"


METHOD = SlimPlain
