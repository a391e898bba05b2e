"""Configuration-invariant distillation of encoder features (docs/methods/slimmable.md, "CI-KD")."""

from __future__ import annotations

import torch
from torch import Tensor

from .numerics import at_least_float32, zero

FORMS = ("slice_mse", "slice_l1", "slice_cos", "attention", "similarity", "projection")
EPS = 1e-8


def ci_kd(student: Tensor, teacher: Tensor, form: str = "slice_mse", projection: Tensor | None = None) -> Tensor:
    """Distance of a slim encoder's feature f to that of the widest encoder t of the same batch, which is detached.

    ==============  ================================================================================================
    form            value, for f [B, c, ...] and t [B, C, ...], c ≤ C, P the product of the other sides
    ==============  ================================================================================================
    ``slice_mse``   mean over all B·c·P elements of (f - t[:, :c])²
    ``slice_l1``    mean over all B·c·P elements of abs(f - t[:, :c])
    ``slice_cos``   mean over the B·P positions of 1 - <f, t[:, :c]> / (max(‖f‖, ε) max(‖t[:, :c]‖, ε))
    ``attention``   mean over the B·P positions of (q(f) - q(t))², q(f) = mean over channels of f², over max(‖·‖, ε)
                    of its P positions
    ``similarity``  ‖G(f) - G(t)‖² / B², G(f) = F Fᵀ of the rows' flat features F, each row over max(‖·‖, ε)
    ``projection``  mean over all B·C·P elements of (W[:, :c] f - t)², with ``projection`` W [C, C]
    ==============  ================================================================================================

    ε = 1e-8. Channels are nested: a slim encoder's channel k is the wide one's. All forms but the last two ask that the
    sides P are equal; attention and similarity use all C channels of t.

    Returns:
        A scalar of at least float32; 0 with a graph for an empty batch.

    Raises:
        ValueError: an unknown form, shapes that do not fit, or a projection that is missing or not [C, C].

    Source: the ICCV 2023 paper on efficient controllable multi-task architectures (arXiv 2308.11744) asks for features
    that do not change with the configuration; the formulas are our reading.
    """
    if form not in FORMS:
        raise ValueError(f"unknown form '{form}' (there are: {', '.join(FORMS)})")
    if student.dim() < 2 or student.dim() != teacher.dim() or student.shape[0] != teacher.shape[0]:
        raise ValueError(f"needs [B, c, ...] and [B, C, ...]; got {tuple(student.shape)}, {tuple(teacher.shape)}")
    if student.shape[1] > teacher.shape[1] or student.shape[2:] != teacher.shape[2:]:
        raise ValueError(
            f"the student's features {tuple(student.shape)} are not the first channels of {tuple(teacher.shape)}"
        )
    with torch.autocast(student.device.type, enabled=False):
        f, t = (at_least_float32(x)[..., None].flatten(2) for x in (student, teacher.detach()))
        if not f.numel():
            return zero(f)
        if form == "attention":
            return (_attention(f) - _attention(t)).square().mean()
        if form == "similarity":
            return (_similarity(f) - _similarity(t)).square().sum() / len(f) ** 2
        if form == "projection":
            return _projected(f, t, projection)
        part = t[:, : f.shape[1]]
        if form == "slice_mse":
            return (f - part).square().mean()
        if form == "slice_l1":
            return (f - part).abs().mean()
        lengths = f.norm(dim=1).clamp(min=EPS) * part.norm(dim=1).clamp(min=EPS)
        return (1 - (f * part).sum(1) / lengths).mean()


def _attention(f: Tensor) -> Tensor:
    q = f.square().mean(1)  # [B, P]
    return q / q.norm(dim=1, keepdim=True).clamp(min=EPS)


def _similarity(f: Tensor) -> Tensor:
    flat = f.flatten(1)
    g = flat @ flat.T  # [B, B]
    return g / g.norm(dim=1, keepdim=True).clamp(min=EPS)


def _projected(f: Tensor, t: Tensor, projection: Tensor | None) -> Tensor:
    c = t.shape[1]
    if projection is None or projection.shape != (c, c):
        got = None if projection is None else tuple(projection.shape)
        raise ValueError(f"the form 'projection' needs a matrix [{c}, {c}]; got {got}")
    w = projection.to(f.dtype)[:, : f.shape[1]]
    return (torch.einsum("oc,bcp->bop", w, f) - t).square().mean()
