"""SupReMix: supervised contrast with mixtures for regression ("Mixup Your Own Pairs", arXiv 2309.16633).

No tensor of mixtures is ever built: the dot product of an anchor with a mixture is the mixture of two dot products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .numerics import at_least_float32, zero

Weight = Literal["L1_inv", "L2_inv", "L1", "L2", "none"]
CHUNK = 1 << 19  # triples held at a time


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """The arguments of :func:`supremix` that every sub-batch shares."""

    temperature: float
    window: float
    mix_neg: bool
    mix_pos: bool
    weight: Weight
    beta: tuple[float, float]
    detach: bool
    renormalise: bool
    official: bool
    cap: int | None
    generator: torch.Generator | None


class _Sides(NamedTuple):
    """Of some anchors the rows with a lower and with a higher label in the window [c, L], [c, H], and how many [c]."""

    low: Tensor
    high: Tensor
    n_low: Tensor
    n_high: Tensor


def log_weight(difference: Tensor, weight: Weight) -> Tensor:
    """Logarithm of the weight of a distance of labels Δy, elementwise and in the shape of ``difference``.

    ``L1_inv``: |Δy| + 1; ``L2_inv``: Δy² + 1; ``L1`` and ``L2``: their inverses; ``none``: 1.
    Source: distance magnifying of arXiv 2309.16633, with the options of its public code; docs/losses.md.
    """
    if weight == "none":
        return torch.zeros_like(difference)
    log = torch.log1p(difference.abs() if weight in ("L1_inv", "L1") else difference.square())
    return log if weight.endswith("_inv") else -log


def beta_draws(shape: tuple[int, ...], a: float, b: float, generator: torch.Generator) -> Tensor:
    """Independent draws of Beta(a, b), float64 [*shape] on the CPU; ``generator`` moves by one draw."""
    return torch.from_numpy(_numpy(generator).beta(a, b, shape))


def _numpy(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator seeded by the next draw of ``generator``: torch's Beta and choice take none."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))


def supremix(
    z: Tensor,
    y: Tensor,
    *,
    temperature: float = 0.3,
    window: float = 5.0,
    mix_neg: bool = True,
    mix_pos: bool = True,
    weight: Weight = "L1_inv",
    beta_a: float = 2.0,
    beta_b: float = 8.0,
    lam: Tensor | None = None,
    generator: torch.Generator | None = None,
    pool: int = 1,
    detach_mixtures: bool = True,
    renormalise_mixtures: bool = False,
    logit_shift: Literal["exact", "official"] = "exact",
    max_triples_per_anchor: int | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    """Mean over anchors i of ``log Z_i - (1/(|P_i|+|T_i|)) [ Σ_{p∈P_i} s(z_i, z_p) + Σ_{T_i} s(z_i, sg p_ijk) ]`` with

    ``Z_i = Σ_{a≠i} w(y_i,y_a) e^{s(z_i,z_a)} + Σ_{k: y_k≠y_i} w e^{s(z_i, sg m_ik)} + Σ_{T_i} e^{s(z_i, sg p_ijk)}``,
    where s(u, v) = u·v/τ; m_ik = λ_ik z_i + (1-λ_ik) z_k with λ_ik ~ Beta(a, b) and weight w((1-λ_ik)|y_i-y_k|);
    T_i = {(j, k): 0 < y_i-y_j < window, 0 < y_k-y_i < window}, p_ijk = μ z_j + (1-μ) z_k with μ = (y_k-y_i)/(y_k-y_j);
    P_i = {a ≠ i: y_a = y_i} (exact equality). Labels are detached, and so are the mixtures (``detach_mixtures``): the
    gradient of i's logits reaches them only through the anchor's factor.

    Args:
        z: [V·N, d], all first views, then all second views; not normalised here.
        y: [N] labels, in the units of ``window`` and of the weights.
        temperature: τ.
        window: how far in label the two rows of a positive mixture may lie from the anchor.
        mix_neg, mix_pos: whether the mixtures m and p count.
        weight: w, see :func:`log_weight`.
        beta_a, beta_b: a, b.
        lam: [V·N, V·N] given coefficients of the anchor; else drawn from ``generator``.
        generator: draws the coefficients, and the triples under a cap.
        pool: q > 1 cuts the batch into q equal parts (samples with all their views) and averages their losses.
        detach_mixtures: sg as above; False: the mixtures get gradients.
        renormalise_mixtures: mixtures are scaled to unit length before the dot product.
        logit_shift: ``official`` shifts real logits by their row maximum and those of mixtures by max(0, theirs), each
            inside its own exponentials, as the public code does; the result is then not invariant to the shift.
        max_triples_per_anchor: a uniform draw of so many of T_i without replacement; their mean stands for all of T_i
            in the positive term, and |T_i| / drawn multiplies them in Z_i. Needs ``generator``.
        reduction: ``none`` gives [V·N] values, zero for anchors without any positive.

    Returns:
        A scalar (or [V·N]) of at least float32; the mean is over anchors with a positive, and a zero with a graph where
        there is none.

    Raises:
        ValueError: rows of z no multiple of labels, a pool that does not divide the batch, a non-positive temperature,
            no generator where draws are needed, non-finite labels.

    Source: arXiv 2309.16633 by its public code; our choices, and the cap, which is ours: docs/losses.md.
    """
    _check(z, y, temperature, pool, lam)
    with torch.autocast(z.device.type, enabled=False):
        z = at_least_float32(z)
        y = y.detach().to(z.device, torch.promote_types(y.dtype, torch.float64))
        n = len(y)
        if n == 0:
            return zero(z) if reduction == "mean" else z.sum(1)
        if not bool(y.isfinite().all()):
            raise ValueError("labels must be finite numbers: the loss compares them")
        views = len(z) // n
        rows = torch.arange(len(z), device=z.device).view(views, pool, n // pool)
        settings = _Settings(
            temperature=temperature,
            window=window,
            mix_neg=mix_neg,
            mix_pos=mix_pos,
            weight=weight,
            beta=(beta_a, beta_b),
            detach=detach_mixtures,
            renormalise=renormalise_mixtures,
            official=logit_shift == "official",
            cap=max_triples_per_anchor,
            generator=generator,
        )
        each = torch.zeros(len(z), dtype=z.dtype, device=z.device)
        means = []
        for part in range(pool):
            own = rows[:, part].flatten()
            labels = y.repeat(views)[own]
            values, counted = _anchors(z[own], labels, None if lam is None else lam[own][:, own], settings)
            each = each.index_put((own,), values)
            means.append(values.sum() / counted.sum() if bool(counted.any()) else zero(z))
        return each if reduction == "none" else torch.stack(means).mean()


def _check(z: Tensor, y: Tensor, temperature: float, pool: int, lam: Tensor | None) -> None:
    if z.dim() != 2 or y.dim() != 1:
        raise ValueError(f"z must be [V·N, d] and y [N], not {list(z.shape)} and {list(y.shape)}")
    if len(y) and (len(z) % len(y) or len(z) == 0):
        raise ValueError(f"{len(z)} rows of z are no whole number of views of {len(y)} labels")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if pool < 1 or (len(y) and len(y) % pool):
        raise ValueError(f"a batch of {len(y)} cannot be cut into {pool} equal pools")
    if lam is not None and lam.shape != (len(z), len(z)):
        raise ValueError(f"lam must be [{len(z)}, {len(z)}], not {list(lam.shape)}")


def _anchors(z: Tensor, y: Tensor, lam: Tensor | None, s: _Settings) -> tuple[Tensor, Tensor]:
    """Losses of all anchors of one sub-batch [M] (zero where there is no positive), and which have one [M]."""
    m = len(z)
    difference = y[:, None] - y[None]  # [M, M] y_i - y_k, float64 so that equality and window are exact
    gap = difference.to(z.dtype)
    own = torch.eye(m, dtype=torch.bool, device=z.device)
    constant = z.detach() if s.detach else z
    real = z @ z.T / s.temperature  # G
    mixed = z @ constant.T / s.temperature  # H
    gram = constant @ constant.T if s.renormalise else None
    positive = (difference == 0) & ~own

    denominator = (real + log_weight(gap, s.weight)).masked_fill(own, -torch.inf)
    if s.official:  # the public code's maximum includes the anchor itself
        shift = real.detach().amax(1, keepdim=True)
        denominator, real = denominator - shift, real - shift
    blocks = [denominator]
    total = (real * positive).sum(1)  # Σ over P_i
    count = positive.sum(1).to(z.dtype)

    negatives = _mixed_negatives(mixed, gram, difference, lam, s) if s.mix_neg else None
    triples = _triples(mixed, gram, y, s) if s.mix_pos else None
    shift_mixed: Tensor | None = None  # that of the public code; without it the shift is exact
    if s.official and (negatives is not None or triples is not None):
        tops = [z.new_zeros(m)]
        if negatives is not None:
            tops.append(negatives[0].detach().amax(1))
        if triples is not None:
            tops.append(triples[3])
        shift_mixed = torch.stack(tops).amax(0)
    if negatives is not None:
        logits = negatives[0] + negatives[1]
        blocks.append(logits if shift_mixed is None else logits - shift_mixed[:, None])
    if triples is not None:
        log_sum, sums, counts, _ = triples
        if shift_mixed is not None:
            log_sum, sums = log_sum - shift_mixed, sums - counts * shift_mixed
            if s.weight == "L2_inv":
                log_sum = log_sum + math.log(2)  # (0 + 1)² + 1: the public code squares the difference plus one
        blocks.append(log_sum[:, None])
        total, count = total + sums, count + counts

    counted = count > 0
    rows = counted.nonzero().flatten()  # once: a GPU is waited for each time that a mask becomes rows
    log_z = torch.cat(blocks, 1)[rows].logsumexp(1)
    values = log_z - total[rows] / count[rows]
    return zero(z) + z.new_zeros(m).index_put((rows,), values), counted


def _mixed_negatives(
    mixed: Tensor, gram: Tensor | None, difference: Tensor, lam: Tensor | None, s: _Settings
) -> tuple[Tensor, Tensor]:
    """Logits z_i·m_ik / τ of mixtures with rows of other labels (else -inf), and their log-weights, both [M, M]."""
    if lam is None:
        lam = beta_draws((len(mixed), len(mixed)), *s.beta, _required(s.generator, "mix_neg draws its coefficients"))
    lam = lam.to(mixed.device, mixed.dtype)
    logits = lam * mixed.diagonal()[:, None] + (1 - lam) * mixed
    if gram is not None:
        square = gram.diagonal()
        logits = logits / _length(lam, square[:, None], gram, square[None])
    logits = logits.masked_fill(difference == 0, -torch.inf)
    shifted = s.official and s.weight == "L2_inv"  # the public code squares the signed difference plus one
    return logits, log_weight((1 - lam) * difference.to(mixed.dtype) + float(shifted), s.weight)


def _required(generator: torch.Generator | None, what: str) -> torch.Generator:
    if generator is None:
        raise ValueError(f"{what}: give a generator")
    return generator


def _length(share: Tensor, first: Tensor, cross: Tensor, second: Tensor) -> Tensor:
    """|share·u + (1-share)·v| from |u|², u·v and |v|²; never below 1e-6."""
    square = share.square() * first + 2 * share * (1 - share) * cross + (1 - share).square() * second
    return square.clamp(min=1e-12).sqrt()


def _triples(mixed: Tensor, gram: Tensor | None, y: Tensor, s: _Settings) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of every anchor's mix-pos logits log Σ exp, Σ, |T_i|, maximum, each [M] (-inf, 0, 0, -inf where T_i is empty).

    A chunk of anchors at a time; where there are several, backward computes each again: memory is that of one chunk.
    """
    m = len(y)
    difference = y[:, None] - y[None]
    low, high = (difference > 0) & (difference < s.window), (difference < 0) & (-difference < s.window)
    n_low, n_high = low.sum(1), high.sum(1)
    n_triples = n_low * n_high
    anchors = n_triples.nonzero().flatten()
    log_sum, sums = mixed.new_full((m,), -torch.inf), mixed.new_zeros(m)
    top = mixed.new_full((m,), -torch.inf)
    if len(anchors):
        low_index = _columns(low[anchors])  # [A, L], the true columns first
        high_index = _columns(high[anchors])  # [A, H]
        drawn = None
        if s.cap is not None and int(n_triples.max()) > s.cap:
            drawn = _draw(n_triples[anchors].tolist(), s.cap, _required(s.generator, "max_triples_per_anchor draws"))
            drawn = drawn.to(mixed.device)
        width = drawn.shape[1] if drawn is not None else low_index.shape[1] * high_index.shape[1]
        step = max(1, CHUNK // width)
        parts = []
        for at in range(0, len(anchors), step):
            piece = slice(at, at + step)
            rows = anchors[piece]
            sides = _Sides(low_index[piece], high_index[piece], n_low[rows], n_high[rows])
            arguments = (mixed[rows], gram, y, rows, sides, None if drawn is None else drawn[piece])
            if step < len(anchors) and torch.is_grad_enabled():
                parts.append(checkpoint(_chunk, *arguments, use_reentrant=False, preserve_rng_state=False))
            else:
                parts.append(_chunk(*arguments))
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        log_sum, sums = log_sum.index_put((anchors,), columns[0]), sums.index_put((anchors,), columns[1])
        top = top.index_put((anchors,), columns[2])
    return log_sum, sums, n_triples.to(mixed.dtype), top


def _columns(mask: Tensor) -> Tensor:
    """Column numbers of the true entries of each row first, as wide as the fullest row: [A, C] → [A, max count]."""
    return torch.argsort(mask.to(torch.uint8), dim=1, descending=True, stable=True)[:, : int(mask.sum(1).max())]


def _draw(counts: list[int], cap: int, generator: torch.Generator) -> Tensor:
    """``min(count, cap)`` distinct numbers below each count, [A, cap] int64 filled up with -1."""
    source = _numpy(generator)
    drawn = np.full((len(counts), cap), -1, dtype=np.int64)
    for row, count in zip(drawn, counts, strict=True):
        row[: min(count, cap)] = source.choice(count, cap, replace=False) if count > cap else np.arange(count)
    return torch.from_numpy(drawn)


def _chunk(
    mixed: Tensor, gram: Tensor | None, y: Tensor, rows: Tensor, sides: _Sides, drawn: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """log Σ exp, Σ and maximum of the mix-pos logits of the anchors ``rows`` [c], from their rows of H [c, M]."""
    low, high, n_low, n_high = sides
    below, above = y[low], y[high]  # [c, L], [c, H]
    of_low, of_high = mixed.gather(1, low), mixed.gather(1, high)
    if drawn is None:
        below, above, of_low, of_high = below[:, :, None], above[:, None], of_low[:, :, None], of_high[:, None]
        low, high = low[:, :, None], high[:, None]
        valid = (torch.arange(low.shape[1], device=y.device) < n_low[:, None])[:, :, None]
        valid = valid & (torch.arange(high.shape[2], device=y.device) < n_high[:, None])[:, None]  # [c, L, H]
        anchor = y[rows][:, None, None]
    else:
        valid = drawn >= 0  # [c, cap]
        j, k = drawn.clamp(min=0) // n_high[:, None], drawn.clamp(min=0) % n_high[:, None]
        below, of_low, low = below.gather(1, j), of_low.gather(1, j), low.gather(1, j)
        above, of_high, high = above.gather(1, k), of_high.gather(1, k), high.gather(1, k)
        anchor = y[rows][:, None]
    share = ((above - anchor) / (above - below)).to(mixed.dtype)  # μ, nonsense (but unused) where not valid
    share = torch.where(valid, share, 0.5)
    logits = of_high + share * (of_low - of_high)  # μ H_ij + (1-μ) H_ik
    if gram is not None:
        square = gram.diagonal()
        logits = logits / _length(share, square[low], gram[low, high], square[high])
    axes = tuple(range(1, logits.dim()))
    n_valid = valid.sum(axes)
    log_sum = logits.masked_fill(~valid, -torch.inf).logsumexp(axes)
    n_all = (n_low * n_high).to(mixed.dtype)
    scale = n_all / n_valid
    sums = logits.masked_fill(~valid, 0).sum(axes) * scale
    top = logits.detach().masked_fill(~valid, -torch.inf).amax(axes)
    return log_sum + scale.log(), sums, top
