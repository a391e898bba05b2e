"""A regressor with the absolute error: what the contrasts are compared with."""

from __future__ import annotations

from typing import ClassVar

from .regressor import Regressor


class L1(Regressor):
    """End to end with the absolute error."""

    name: ClassVar[str] = "l1"
    summary: ClassVar[str] = "end-to-end regression with the L1 loss"


METHOD = L1
