"""ConR (Keramati et al., ICLR 2024): rows that are predicted near but lie far in label are pushed apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .numerics import at_least_float32, zero


def conr(
    z: Tensor,
    y: Tensor,
    prediction: Tensor,
    *,
    window: float = 1.0,
    temperature: float = 0.2,
    push: float = 0.01,
    masks: Literal["exact", "official"] = "exact",
) -> Tensor:
    """``1/M Σ_i mean_{j∈P_i} -log[ e^{s_ij} / (Σ_{k∈P_i} e^{s_ik} + Σ_{k∈N_i} e^{η|y_i-y_k|} e^{s_ik}) ]``, s = z·z/τ.

    P_i = {j≠i: |y_i-y_j| ≤ w}, N_i = {k: |y_i-y_k| > w and |ŷ_i-ŷ_k| ≤ w}; a row whose P_i or N_i is empty counts 0.
    Labels and predictions are detached: they choose and weigh, and get no gradient.

    Args:
        z: [M, d] unit rows.
        y, prediction: [M], in the units of ``window``.
        window: w.
        temperature: τ.
        push: η.
        masks: ``official`` adds 1 to the first sum for every row that is no positive of i, i itself too: the public
            code masks logits, not exponentials. Its NaN for a row without a positive is 0 here too.

    Returns:
        A scalar of at least float32, the mean over all rows; a zero with a graph where no row counts.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not positive.

    Source: Keramati et al., ICLR 2024; both forms of the masks in docs/losses.md.
    """
    if z.dim() != 2 or y.shape != z.shape[:1] or prediction.shape != y.shape or not temperature > 0:
        raise ValueError(
            f"z [M, d], y and prediction [M], not {list(z.shape)}, {list(y.shape)}, {list(prediction.shape)}"
        )
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        if len(z) < 2:
            return zero(z)
        y, prediction = y.detach().double(), prediction.detach().double()
        own = torch.eye(len(z), dtype=torch.bool, device=z.device)
        away = (y[:, None] - y[None]).abs()
        near = (prediction[:, None] - prediction[None]).abs() <= window
        positive, negative = (away <= window) & ~own, (away > window) & near
        counted = (positive.any(1) & negative.any(1)).nonzero().flatten()
        if not len(counted):
            return zero(z)
        s = z @ z.T / temperature
        weighted = s + push * away.to(s.dtype) * negative
        terms = [weighted.masked_fill(~(positive | negative), -torch.inf)]
        if masks == "official":
            terms.append((~positive).sum(1, keepdim=True).to(s.dtype).log())  # never 0: i is no positive of its own
        log_sum = torch.cat(terms, 1)[counted].logsumexp(1)
        mean = (s * positive).sum(1)[counted] / positive.sum(1)[counted]
        return (log_sum - mean).sum() / len(z)
