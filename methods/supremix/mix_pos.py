"""SupReMix without mixed negatives."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..base import MethodConfig
from .supremix import SupReMix, SupReMixConfig


class MixPosConfig(SupReMixConfig):
    """Mixed positives alone."""

    mix_neg: bool = Field(False, description="mixtures of the anchor with other labels as negatives")


class MixPos(SupReMix):
    """Ablation: mixed positives alone."""

    Config: ClassVar[type[MethodConfig]] = MixPosConfig
    name: ClassVar[str] = "mix_pos"
    summary: ClassVar[str] = "SupReMix with mixed positives alone"


METHOD = MixPos
