"""Y-aware InfoNCE (Dufumier et al., MICCAI 2021) and its exponential variant for regression."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .numerics import at_least_float32, zero


def yaware(
    z: Tensor,
    y: Tensor,
    *,
    sigma: float = 2.0,
    temperature: float = 0.1,
    variant: Literal["yaware", "exp", "official"] = "yaware",
) -> Tensor:
    """``-(1/M) Σ_i Σ_j W_ij log softmax_{k≠i}(z_i·z_k/τ)_j``, W_ij ∝ exp(-(y_i-y_j)²/(2σ²)), W_ii = 0, rows of sum 1.

    Labels, and the maximum of ``exp``, are detached.

    Args:
        z: [M, d] unit rows of V views, M = V·N, all first views first.
        y: [N] labels.
        sigma: σ, in the unit of the labels.
        temperature: τ.
        variant: ``official`` divides by the row sums along columns and by N, as the first public code does. ``exp``:
            ``L_i = -Σ_j (w_ij/Σw_i) [u_ij - log Σ_{t≠i} exp(u_it (1 - w_it))]``, w before the division by its sum,
            u_it = s_it - max_t s_it with the maximum over all t.

    Returns:
        A scalar of at least float32, the mean over rows; an anchor whose weights all underflow counts 0. A zero with a
        graph for fewer than two rows.

    Raises:
        ValueError: shapes that do not fit, or a sigma or temperature that is not positive.

    Source: Dufumier et al., MICCAI 2021; ``exp`` is from later work on brain age; docs/losses.md.
    """
    if z.dim() != 2 or y.dim() != 1 or (len(y) and len(z) % len(y)) or not (temperature > 0 and sigma > 0):
        raise ValueError(f"z [V·N, d], y [N], positive sigma and temperature, not {list(z.shape)}, {list(y.shape)}")
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        m = len(z)
        if m < 2:
            return zero(z)
        n = len(y)
        y = y.detach().to(z.device, torch.float64).repeat(m // n)
        own = torch.eye(m, dtype=torch.bool, device=z.device)
        weight = torch.exp(-(y[:, None] - y[None]).square() / (2 * sigma**2)).masked_fill(own, 0.0)
        total = weight.sum(1)
        share = weight / (total[None] if variant == "official" else total[:, None])
        share = torch.where(total[:, None] > 0, share, 0.0).nan_to_num(0.0).to(z.dtype)
        s = z @ z.T / temperature
        if variant == "exp":
            u = s - s.detach().amax(1, keepdim=True)
            log_sum = (u * (1 - weight.to(z.dtype))).masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
            return -(share * (u - log_sum)).sum() / m
        log_p = s - s.masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
        return -(share * log_p).sum() / (n if variant == "official" else m)
