"""LAMB: layer-wise adaptive moments for large batches (You et al. 2019, arXiv 1904.00962, algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .layerwise import Layerwise


class LAMB(Layerwise):
    """Adam's direction with decoupled weight decay, scaled in each layer to the norm of the weights.

    For each parameter tensor x with gradient g at its t-th step (from 1), with η = ``lr``, (β₁, β₂) = ``betas``,
    ε = ``eps`` and λ = ``weight_decay``::

        m ← β₁ m + (1 - β₁) g,      v ← β₂ v + (1 - β₂) g²
        r = m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)
        x ← x - η φ(‖x‖) / ‖r + λ x‖ · (r + λ x)

    φ is the identity. The ratio is 1 where ‖x‖ or ‖r + λ x‖ is 0 (left open by the paper), and in parameter groups
    with ``adapt`` False.

    Raises:
        ValueError: a negative rate, ε or decay, or a β outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        adapt: bool = True,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0:
            raise ValueError("lr, eps and weight_decay must not be negative")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must lie in [0, 1), not {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "adapt": adapt})

    def move(self, x: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        state = self.state[x]
        if not state:
            state.update(step=0, first=torch.zeros_like(x), second=torch.zeros_like(x))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first, second = state["first"], state["second"]
        first.mul_(beta1).add_(g, alpha=1 - beta1)
        second.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        spread = (second / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        update = (first / (1 - beta1 ** state["step"])).div_(spread).add_(x, alpha=group["weight_decay"])
        if group["adapt"]:
            size, length = x.norm(), update.norm()
            ratio = size / length
            update.mul_(torch.where((size > 0) & (length > 0), ratio, torch.ones_like(ratio)))
        x.sub_(update, alpha=group["lr"])
