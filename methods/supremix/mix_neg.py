"""SupReMix without mixed positives."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..base import MethodConfig
from .supremix import SupReMix, SupReMixConfig


class MixNegConfig(SupReMixConfig):
    """Mixed negatives alone."""

    mix_pos: bool = Field(False, description="mixtures of a lower and a higher label as positives")


class MixNeg(SupReMix):
    """Ablation: mixed negatives alone."""

    Config: ClassVar[type[MethodConfig]] = MixNegConfig
    name: ClassVar[str] = "mix_neg"
    summary: ClassVar[str] = "SupReMix with mixed negatives alone"


METHOD = MixNeg
