"""What optimizers share that move each parameter tensor by a rule of its own (LARS, LAMB)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Layerwise(Optimizer):
    """An optimizer whose step is :meth:`move` of every parameter tensor that has a gradient."""

    @abstractmethod
    def move(self, x: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move ``x`` in place; ``group`` holds its parameter group's settings."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure`` computes the loss anew, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for x in group["params"]:
                if x.grad is not None:
                    self.move(x, x.grad, group)
        return loss
