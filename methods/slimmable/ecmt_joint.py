"""ECMT on the rows of all experiences at once: the upper bound of a sequence of tasks."""

from __future__ import annotations

from typing import ClassVar

from .ecmt import Ecmt


class EcmtJoint(Ecmt):
    """One experience with all tasks and rows; nothing arrives later, nothing can be forgotten."""

    name: ClassVar[str] = "ecmt_joint"
    summary: ClassVar[str] = "ECMT on all tasks at once (upper bound of a sequence of tasks)"
    uses_union: ClassVar[bool] = True


METHOD = EcmtJoint
