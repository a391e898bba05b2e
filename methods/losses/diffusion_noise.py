"""The noise of a diffusion process at a step, by which VCD distorts a picture."""

from __future__ import annotations

import torch
from torch import Tensor


def diffusion_scales(steps: Tensor, total: int = 1000) -> tuple[Tensor, Tensor]:
    """``(√ᾱ_t, √(1 - ᾱ_t))`` of steps t [n] in 0..total - 1, each [n] float64: x_t = √ᾱ_t x + √(1 - ᾱ_t) ε.

    β_t = σ(linspace(-6, 6, total)) (0.005 - 1e-5) + 1e-5, ᾱ_t = Π_{s<=t} (1 - β_s).

    Raises:
        ValueError: a step outside.

    Source: VCD (Leng et al. 2024), schedule of its public code.
    """
    if len(steps) and not 0 <= int(steps.min()) <= int(steps.max()) < total:
        raise ValueError(f"steps of the noise lie in 0..{total - 1}")
    beta = torch.linspace(-6, 6, total, dtype=torch.float64).sigmoid() * (0.5e-2 - 1e-5) + 1e-5
    kept = (1 - beta).cumprod(0)[steps.cpu()]
    return kept.sqrt().to(steps.device), (1 - kept).sqrt().to(steps.device)
