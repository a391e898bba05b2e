"""SepCLR: common and salient codes of a background and a target set (Louiset et al., ICLR 2024, arXiv 2402.11928).

n rows, c [n, dc] common and s [n, ds] salient codes, kernels ``k(a, b) = exp(-‖a - b‖² / (2τ))``. A row's membership is
1 where it is a target, 0 where it is background. Nothing is detached but the pinned rows, which are constants.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .numerics import at_least_float32, log_sum_gauss, zero

SalientUniformity = Literal["code", "paper"]
CommonRows = Literal["all", "background"]
BLOCK = 256  # rows of distances held at a time
CONTINUOUS_WIDTH, DISCRETE_WIDTH = 2 * 0.025, 1e-5  # of the labels' kernels, in squared units of the label


class SepCLRTerms(NamedTuple):
    """The terms of :func:`sepclr`, scalars without their weights, and the weighted ``total``."""

    common_align: Tensor
    common_unif: Tensor
    salient_align: Tensor
    salient_unif: Tensor
    null: Tensor
    joint_entropy: Tensor
    total: Tensor


class SupervisedTerms(NamedTuple):
    """The terms of :func:`sepclr_supervised`, scalars without their weights, and the weighted ``total``."""

    common: Tensor
    salient: Tensor
    joint_entropy: Tensor
    total: Tensor


def align(a: Tensor, b: Tensor, *, temperature: float = 0.5) -> Tensor:
    """``1/n Σ_i ‖a_i - b_i‖² / (2τ)``; a zero with a graph without rows.

    Args:
        a, b: [n, d], row i of both from one image.
        temperature: τ.

    Raises:
        ValueError: shapes that differ or are not [n, d], τ that is not positive.

    Source: SepCLR's public code, align, α = 2; Wang and Isola, ICML 2020, section 4.1.1.
    """
    _check(temperature, a, b)
    with torch.autocast(a.device.type, enabled=False):
        a, b = at_least_float32(a), at_least_float32(b)
        return (a - b).square().sum(1).mean() / (2 * temperature) if len(a) else zero(a, b)


def uniformity(a: Tensor, *, temperature: float = 0.5, block: int = BLOCK) -> Tensor:
    """``log( 2/(n(n-1)) Σ_{i<j} k(a_i, a_j) )``: one logarithm, the diagonal left out; a zero with a graph for n < 2.

    Args:
        a: [n, d].
        temperature: τ.
        block: rows of distances held at a time; extra memory is about ``block · n`` numbers.

    Raises:
        ValueError: a is not [n, d], τ is not positive.

    Source: SepCLR's public code, uniformity; Wang and Isola, ICML 2020, eq. 2.
    """
    _check(temperature, a)
    with torch.autocast(a.device.type, enabled=False):
        a, n = at_least_float32(a), len(a)
        if n < 2:
            return zero(a)
        return log_sum_gauss(a / math.sqrt(temperature), others=True, block=block).logsumexp(0) - math.log(n * (n - 1))


def joint_entropy(c: Tensor, s: Tensor, *, temperature: float = 0.5, block: int = BLOCK) -> Tensor:
    """``1/n Σ_i log( 1/n Σ_j k(c_i, c_j) k(s_i, s_j) )``, the diagonal included: k-JEM, minus an estimate of H(c, s).

    It lies in [-log n, 0], symmetric in c and s; minimising it maximises the joint entropy. 0 with a graph for n = 0.

    Args:
        c: [n, dc], of unit length where the method says so (not normalised here).
        s: [n, ds].
        temperature: τ, the variance of the Parzen kernel in both spaces.
        block: rows of distances held at a time; extra memory is about ``block · n`` numbers.

    Raises:
        ValueError: c and s are not [n, ...] of as many rows, τ is not positive.

    Source: SepCLR's public code, joint entropy; docs/methods/sepclr.md, equation (5).
    """
    _check(temperature, c)
    _check(temperature, s)
    if len(c) != len(s):
        raise ValueError(f"a common and a salient code of each row are needed, not {len(c)} and {len(s)}")
    with torch.autocast(c.device.type, enabled=False):
        both = _joined(c, s)
        if not len(both):
            return zero(both)
        return log_sum_gauss(both / math.sqrt(temperature), block=block).mean() - math.log(len(both))


def kernel_mutual_information(c: Tensor, s: Tensor, *, temperature: float = 0.5, block: int = BLOCK) -> Tensor:
    """``jem(c, s) - jem(c, 0) - jem(0, s)``: an estimate of I(c; s) in nats, 0 on a product grid of both.

    Args:
        c, s: [n, dc] and [n, ds].
        temperature: τ of the kernels.
        block: rows of distances held at a time.

    Raises:
        ValueError: as :func:`joint_entropy`.

    Source: ours, from the entropies of SepCLR's joint entropy (docs/methods/sepclr.md).
    """
    alone = (joint_entropy(x, x.new_zeros(len(x), 1), temperature=temperature, block=block) for x in (c, s))
    return joint_entropy(c, s, temperature=temperature, block=block) - sum(alone)


def pinned(s: Tensor, target: Tensor) -> Tensor:
    """s~: the salient codes [n, ds] of targets, and the constant s' = 0 in the rows of background (no gradient there).

    Source: SepCLR's public code; docs/methods/sepclr.md, equation (3).
    """
    return torch.where((target == 1)[:, None], s, torch.zeros_like(s))


def uniformity_by_anchor(s: Tensor, target: Tensor, *, temperature: float = 0.5, block: int = BLOCK) -> Tensor:
    """``mean_{i∈Y} log( (n0 k(s_i, 0) + Σ_{j∈Y, j≠i} k(s_i, s_j)) / (n0 + n1 - 1) )``: salient uniformity as
    the paper's equation 7 is described (its constants are recalled, not read). A zero with a graph without targets or
    for n < 2.

    Args:
        s: [n, ds], not pinned.
        target: [n] integers, 1 for targets.
        temperature: τ.
        block: rows of distances held at a time.

    Source: SepCLR, eq. 7, as reviews describe it; docs/methods/sepclr.md.
    """
    _check(temperature, s)
    with torch.autocast(s.device.type, enabled=False):
        s = at_least_float32(s)
        mine, n_background = s[target == 1], int((target != 1).sum())
        if not len(mine) or len(s) < 2:
            return zero(s)
        log_sum = log_sum_gauss(mine / math.sqrt(temperature), others=True, block=block)
        if n_background:
            null = math.log(n_background) - mine.square().sum(1) / (2 * temperature)
            log_sum = torch.logaddexp(log_sum, null) if len(mine) > 1 else null  # one target: its sum is empty
        return log_sum.mean() - math.log(len(s) - 1)


def sepclr(
    c1: Tensor,
    c2: Tensor,
    s1: Tensor,
    s2: Tensor,
    target: Tensor,
    *,
    beta_s: float = 1000.0,
    beta_0: float = 1000.0,
    lam: float = 10.0,
    temperature: float = 0.5,
    salient: SalientUniformity = "code",
    common: CommonRows = "all",
    block: int = BLOCK,
) -> SepCLRTerms:
    """``L_common + β_s L_salient + β_0 L_null + λ L_jem`` of two views; c is normalised inside, s is not.

    L_common = align(c1, c2) + unif(c1) + unif(c2) over all rows; L_salient = align of the targets' s1, s2 +
    unif(s~1) + unif(s~2); L_null = mean of ‖s‖² / (2τ) over background and views; L_jem = mean of jem(c, s~) over
    views. The terms of uniformity are those of one view each, their field is the mean over views, their weight 2.
    A term without rows is a zero with a graph; with λ = 0 the joint entropy is worked out without a graph.

    Args:
        c1, c2: [n, dc] projections of both views.
        s1, s2: [n, ds].
        target: [n] integers, 1 for targets, 0 for background.
        beta_s, beta_0, lam: weights β_s, β_0, λ.
        temperature: τ of every term.
        salient: uniformity of s~ in the public code's form, or :func:`uniformity_by_anchor`.
        common: rows of L_common; ``background`` is ours: it cannot learn what only targets have.
        block: rows of distances held at a time.

    Raises:
        ValueError: shapes that do not fit, memberships other than 0 and 1.

    Source: SepCLR's public training scripts; docs/methods/sepclr.md, equations (1) to (6).
    """
    _check_rows(target, c1, c2, s1, s2)
    tau = temperature
    with torch.autocast(c1.device.type, enabled=False):
        views = [(F.normalize(at_least_float32(c), dim=1), at_least_float32(s)) for c, s in ((c1, s1), (c2, s2))]
        (c1, s1), (c2, s2) = views
        mine, rest = (mask.nonzero().flatten() for mask in (target == 1, target != 1))  # a wait each, not each use
        u1, u2 = (c1, c2) if common == "all" else (c1[rest], c2[rest])
        common_align = align(u1, u2, temperature=tau)
        common_unif = (uniformity(u1, temperature=tau, block=block) + uniformity(u2, temperature=tau, block=block)) / 2
        salient_align = align(s1[mine], s2[mine], temperature=tau)
        if salient == "paper":
            parts = [uniformity_by_anchor(s, target, temperature=tau, block=block) for s in (s1, s2)]
        else:
            parts = [uniformity(pinned(s, target), temperature=tau, block=block) for s in (s1, s2)]
        salient_unif = (parts[0] + parts[1]) / 2
        null = (_null(s1[rest], tau) + _null(s2[rest], tau)) / 2
        with torch.set_grad_enabled(torch.is_grad_enabled() and lam != 0):
            entropy = sum(joint_entropy(c, pinned(s, target), temperature=tau, block=block) for c, s in views) / 2
        total = common_align + 2 * common_unif + beta_s * (salient_align + 2 * salient_unif) + beta_0 * null
        if lam != 0:
            total = total + lam * entropy
        return SepCLRTerms(
            common_align, common_unif, salient_align, salient_unif, null, torch.as_tensor(entropy), total
        )


def attribute_alignment(s: Tensor, label: Tensor, *, discrete: bool, block: int = BLOCK) -> Tensor:
    """``mean_{i<j} w(a_i, a_j) (s_i - s_j)²`` of one salient coordinate s [n] and one attribute a [n] of the targets.

    w = exp(-(a_i - a_j)² / (2 · 0.025)), of a discrete attribute exp(-(a_i - a_j)² / 1e-5), which is 1 for equal
    integers and 0 for others. Rows whose label is NaN count in no pair (ours); a zero with a graph below two rows.

    Source: SepCLR's public dSprites script; docs/methods/sepclr.md, equation (7).
    """
    with torch.autocast(s.device.type, enabled=False):
        known = ~label.isnan() if label.is_floating_point() else torch.ones_like(label, dtype=torch.bool)
        s, a = at_least_float32(s)[known], label[known].double()
        n, width = len(s), DISCRETE_WIDTH if discrete else CONTINUOUS_WIDTH
        if n < 2:
            return zero(s)
        parts = []
        for start in range(0, n, block):
            rows = slice(start, start + block)
            parts.append(checkpoint(_weighted_square, s, a, rows, width, use_reentrant=False))
        return torch.stack(parts).sum() / (n * (n - 1))


def sepclr_supervised(
    c: Tensor,
    distorted: Tensor,
    s: Tensor,
    target: Tensor,
    attributes: Tensor,
    discrete: tuple[bool, ...],
    *,
    beta_s: float = 100.0,
    lam: float = 10.0,
    temperature: float = 0.5,
    block: int = BLOCK,
) -> SupervisedTerms:
    """``L_common + β_s L_salient + λ jem(c, s~)`` where coordinate k of s belongs to attribute k.

    L_common = align(c, c') + (unif(c) + unif(c')) / 2, c' of the distorted image;
    L_salient = (1/ds) Σ_k [ unif(s~_k) + (A_k + N_k) / 2 ], A_k :func:`attribute_alignment` of the targets,
    N_k = mean over background of s_k² / (2 τ_k), τ_k = 0.5 of a discrete attribute and 0.025 of others.

    Args:
        c, distorted: [n, dc] projections of the image and of its view, normalised inside.
        s: [n, ds] of the image itself.
        target: [n] integers, 1 for targets.
        attributes: [n, ds] labels; NaN where one is not known (then the row counts in no pair of it).
        discrete: of each attribute, whether it is a class.
        beta_s, lam: weights β_s, λ.
        temperature: τ of align, unif and jem.
        block: rows of distances held at a time.

    Raises:
        ValueError: shapes that do not fit, memberships other than 0 and 1.

    Source: SepCLR's public dSprites script; docs/methods/sepclr.md, equation (7).
    """
    _check_rows(target, c, distorted, s, s)
    if attributes.shape != s.shape or len(discrete) != s.shape[1]:
        raise ValueError(
            f"one attribute for each salient coordinate: {tuple(attributes.shape)} and {len(discrete)} kinds of "
            f"attributes do not fit salient codes {tuple(s.shape)}"
        )
    tau = temperature
    with torch.autocast(c.device.type, enabled=False):
        c, distorted = (F.normalize(at_least_float32(x), dim=1) for x in (c, distorted))
        s = at_least_float32(s)
        mine, rest = (mask.nonzero().flatten() for mask in (target == 1, target != 1))
        salient = zero(s)
        held = pinned(s, target)
        for k, is_class in enumerate(discrete):
            spread = uniformity(held[:, k : k + 1], temperature=tau, block=block)
            aligned = attribute_alignment(s[mine, k], attributes[mine, k], discrete=is_class, block=block)
            null = _null(s[rest, k : k + 1], 0.5 if is_class else 0.025)
            salient = salient + spread + (aligned + null) / 2
        salient = salient / len(discrete)
        common = align(c, distorted, temperature=tau)
        common = common + sum(uniformity(x, temperature=tau, block=block) for x in (c, distorted)) / 2
        with torch.set_grad_enabled(torch.is_grad_enabled() and lam != 0):
            entropy = joint_entropy(c, held, temperature=tau, block=block)
        total = common + beta_s * salient
        return SupervisedTerms(common, salient, entropy, total + lam * entropy if lam != 0 else total)


def _weighted_square(s: Tensor, a: Tensor, rows: slice, width: float) -> Tensor:
    weight = (-(a[rows, None] - a).square() / width).exp().to(s.dtype)
    return (weight * (s[rows, None] - s).square()).sum()


def _null(s: Tensor, temperature: float) -> Tensor:
    return align(torch.zeros_like(s), s, temperature=temperature)


def _joined(c: Tensor, s: Tensor) -> Tensor:
    """[n, dc + ds]: the squared distances of the joined rows are the sums of both."""
    c, s = at_least_float32(c), at_least_float32(s)
    dtype = torch.promote_types(c.dtype, s.dtype)
    return torch.cat([c.to(dtype), s.to(dtype)], 1)


def _check(temperature: float, *tensors: Tensor) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    shapes = [tuple(x.shape) for x in tensors]
    if any(len(shape) != 2 for shape in shapes) or len(set(shapes)) != 1:
        raise ValueError(f"codes must be [n, d], of one shape; got {', '.join(map(str, shapes))}")


def _check_rows(target: Tensor, c1: Tensor, c2: Tensor, s1: Tensor, s2: Tensor) -> None:
    _check(1.0, c1, c2)
    _check(1.0, s1, s2)
    if target.shape != c1.shape[:1] or len(s1) != len(c1):
        raise ValueError(
            f"one membership and one code of each space a row: got {tuple(target.shape)}, {tuple(c1.shape)}, "
            f"{tuple(s1.shape)}"
        )
    if len(target) and not bool(((target == 0) | (target == 1)).all()):
        raise ValueError("a membership is 1 (target) or 0 (background)")
