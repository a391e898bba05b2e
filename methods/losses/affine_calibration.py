"""Calibration of answers by what a model says without the input that matters."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .numerics import at_least_float32


def affine_calibration(
    p: Tensor, p_free: Tensor, form: Literal["diagonal", "identity"] = "diagonal", floor: float = 1e-4
) -> Tensor:
    """``W p + b`` of answer probabilities p [B, K]: scores [B, K], of which the largest is the answer.

    diagonal: W = diag(p_free)^-1, b = 0, normalised to sum 1: uniform where p = p_free, and log q is log p - log p_free
    up to a constant. identity: W = I, b = -p_free, not normalised: the sum is a rounding error, and dividing by it
    would decide at random.

    ``p_free``: the same answers without the input (the picture), [B, K] (one a question) or [K] (one for all).
    Entries below ``floor`` count as that (diagonal): an answer that was never seen would get any weight.

    Raises:
        ValueError: shapes that do not fit.

    Source: Zhao et al. 2021 (contextual calibration), as arXiv 2403.05262 has it in its public code.
    """
    if p.dim() != 2 or p_free.shape not in (p.shape, p.shape[1:]):
        raise ValueError(f"needs p [B, K] and p_free [B, K] or [K], not {tuple(p.shape)} and {tuple(p_free.shape)}")
    p, p_free = at_least_float32(p), at_least_float32(p_free)
    if form == "identity":
        return p - p_free
    q = p / p_free.clamp(min=floor)
    return q / q.sum(-1, keepdim=True)
