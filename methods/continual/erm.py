"""ERM: mean cross-entropy, bias and all; what debiasing is compared with."""

from __future__ import annotations

from typing import ClassVar

from .finetune import Finetune


class ERM(Finetune):
    """L = mean CE(g(f(T(x))), y)."""

    name: ClassVar[str] = "erm"
    summary: ClassVar[str] = "mean cross-entropy, nothing against bias"


METHOD = ERM
