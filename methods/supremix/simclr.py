"""SimCLR in two stages: the other view of a row is its only positive."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..base import StepContext
from .supcon import SupCon


class SimCLR(SupCon):
    """The other view is the only positive; labels are not used."""

    name: ClassVar[str] = "simclr"
    summary: ClassVar[str] = "contrast of two views, without labels"

    def contrast(self, features: Tensor, label: Tensor, ctx: StepContext) -> Tensor:
        return super().contrast(features, torch.arange(len(label), device=label.device), ctx)


METHOD = SimCLR
