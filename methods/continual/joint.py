"""Joint training: all experiences in one, the offline upper bound of a continual comparison."""

from __future__ import annotations

from typing import ClassVar

from .finetune import Finetune


class Joint(Finetune):
    """All classes in one experience: the offline upper bound."""

    name: ClassVar[str] = "joint"
    summary: ClassVar[str] = "one experience with all data (offline upper bound)"
    uses_union: ClassVar[bool] = True


METHOD = Joint
