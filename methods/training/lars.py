"""LARS: layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017, arXiv 1708.03888, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .layerwise import Layerwise


class LARS(Layerwise):
    """SGD with momentum whose rate is scaled in each layer by the ratio of the weights' to the gradient's norm.

    For each parameter tensor w with gradient g, with γ = ``lr``, m = ``momentum``, β = ``weight_decay`` and η =
    ``trust_coefficient``::

        λ = η ‖w‖ / (‖g‖ + β ‖w‖)
        v ← m v + γ λ (g + β w)
        w ← w - v

    λ is 1 where ‖w‖ or ‖g‖ is 0 (the paper leaves this open: a bias that begins at 0 would never move), and in
    parameter groups with ``adapt`` False (biases and normalisation layers, where wished).

    Raises:
        ValueError: a negative rate, decay or coefficient, or a momentum outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        adapt: bool = True,
    ) -> None:
        if lr < 0 or weight_decay < 0 or trust_coefficient < 0:
            raise ValueError("lr, weight_decay and trust_coefficient must not be negative")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), not {momentum}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "adapt": adapt,
        }
        super().__init__(params, defaults)

    def move(self, w: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        decay = group["weight_decay"]
        update = g.add(w, alpha=decay)
        if group["adapt"]:
            size, slope = w.norm(), g.norm()
            ratio = group["trust_coefficient"] * size / (slope + decay * size)
            update.mul_(torch.where((size > 0) & (slope > 0), ratio, torch.ones_like(ratio)))
        state = self.state[w]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(w)
        state["velocity"].mul_(group["momentum"]).add_(update, alpha=group["lr"])
        w.sub_(state["velocity"])
