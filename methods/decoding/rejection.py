"""One token under a constraint, by rejection: adaptive weighted rejection sampling (AWRS) and what it is compared with.

A language model gives log-weights ψ(v) of all V tokens and a constraint says which tokens are allowed, c(v); asking it
is what costs. Every sampler here returns a token x and a log-weight log w. All but :func:`improper` are properly
weighted: E[w · 1{x = v}] = e^ψ(v) c(v) for every v.

Source: Lipkin et al., Fast controlled generation from language models with adaptive weighted rejection sampling,
COLM 2025 (arXiv 2504.05410); the recursive and the geometric form are those of its authors' library genlm-control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Accept = Callable[[int], bool]
Uniforms = Callable[[int], ArrayLike]  # V -> V numbers in (0, 1), new ones at each call
Geometric = Callable[[float], int]  # success probability -> trials up to the first success, 1, 2, ...

_LEAST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Draw:
    """A token (None where nothing was accepted), the logarithm of its weight (then -inf), and how often the constraint
    was asked: ``calls`` about another token each time, ``trials`` with the questions that it had answered before, which
    a sampler without memory asks again.
    """

    token: int | None
    log_weight: float
    calls: int
    trials: int


class _Asked:
    """A constraint that is asked about each token once: it remembers, and counts."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._answers: dict[int, bool] = {}
        self._trials = 0

    def __call__(self, token: int) -> bool:
        self._trials += 1
        if token not in self._answers:
            self._answers[token] = bool(self._accept(token))
        return self._answers[token]

    def draw(self, token: int, log_weight: float) -> Draw:
        return Draw(token, log_weight, len(self._answers), self._trials)

    def nothing(self) -> Draw:
        return Draw(None, -np.inf, len(self._answers), self._trials)


def normalised(log_weights: ArrayLike) -> tuple[Array, float]:
    """log p [V] float64 and log Z0 = log Σ e^ψ; -inf and -inf where no token has mass. Raises ValueError for NaN."""
    psi = np.asarray(log_weights, np.float64)
    if psi.ndim != 1 or not len(psi) or np.isnan(psi).any() or np.isposinf(psi).any():
        raise ValueError("log-weights must be one finite or -inf number a token, [V]")
    log_z = float(np.logaddexp.reduce(psi))
    return (psi, log_z) if np.isneginf(log_z) else (psi - log_z, log_z)


def order(log_p: Array, uniforms: ArrayLike) -> NDArray[np.int64]:
    """Tokens in the order in which drawing without replacement by p would give them: descending log p - log(-log u).

    Tokens of no mass are left out. A uniform number of exactly 0 or 1 counts as the nearest one between them.
    """
    u = np.clip(np.asarray(uniforms, np.float64), _LEAST, 1 - np.finfo(np.float64).epsneg)
    keys = log_p - np.log(-np.log(u))
    return np.argsort(-keys, kind="stable")[: int(np.isfinite(log_p).sum())]


def _remaining(log_p: Array, tokens: NDArray[np.int64]) -> Array:
    """Logarithm of the mass of each token and all that follow it: a sum from the end, so that what is left of a mass
    near 1 is not lost in a difference.
    """
    return np.logaddexp.accumulate(log_p[tokens][::-1])[::-1]


def recursive(log_weights: ArrayLike, accept: Accept, uniforms: Uniforms, max_rejects: int | None = None) -> Draw:
    """AWRS in its recursive form: one order, and one look beyond the accepted token.

    With m the share of mass not rejected and q = p(x) / m for the accepted token x: w = Z0 · m · f, where f = 1 if the
    token that follows in the order is accepted too (or there is none), else f = q.

    Args:
        log_weights: ψ [V], any normalisation.
        accept: the constraint, c(v).
        uniforms: the numbers that the order is drawn from.
        max_rejects: give up, with weight 0, after so many rejected tokens (at least 2; None: never). The weight stays
            unbiased: at the last trial w = Z0 · m, without a look beyond it.

    Raises:
        ValueError: a weight that is NaN or infinite, or ``max_rejects`` below 2.
    """
    _limit(max_rejects)
    return _recursive(*normalised(log_weights), accept, uniforms, max_rejects)


def _recursive(log_p: Array, log_z: float, accept: Accept, uniforms: Uniforms, max_rejects: int | None) -> Draw:
    asked = _Asked(accept)
    tokens = order(log_p, uniforms(len(log_p)))
    left = _remaining(log_p, tokens)
    for k, token in enumerate(tokens.tolist()):
        if not asked(token):
            if max_rejects is not None and k + 1 >= max_rejects:
                return asked.nothing()
            continue
        last = k + 1 == len(tokens) or (max_rejects is not None and k + 1 >= max_rejects)
        log_f = 0.0 if last or asked(int(tokens[k + 1])) else float(log_p[token] - left[k])
        return asked.draw(token, log_z + float(left[k]) + log_f)
    return asked.nothing()


def two_loop(log_weights: ArrayLike, accept: Accept, uniforms: Uniforms) -> Draw:
    """AWRS as in the paper: a first order down to an accepted token x, past rejected tokens R; a second, drawn anew of
    the tokens outside R, down to any accepted token, past n more: w = Z0 · (1 - p(R)) / (|R| + n + 1).

    Arguments and errors as :func:`recursive`; the numbers are asked for once for each loop.
    """
    asked = _Asked(accept)
    log_p, log_z = normalised(log_weights)
    tokens = order(log_p, uniforms(len(log_p)))
    left = _remaining(log_p, tokens)
    first = next((k for k, token in enumerate(tokens.tolist()) if asked(token)), None)
    if first is None:
        return asked.nothing()
    rest = log_p.copy()
    rest[tokens[:first]] = -np.inf
    again = order(rest, uniforms(len(rest)))
    more = next(k for k, token in enumerate(again.tolist()) if asked(token))  # x is among them
    return asked.draw(int(tokens[first]), log_z + float(left[first]) - float(np.log(first + more + 1)))


def geometric(
    log_weights: ArrayLike,
    accept: Accept,
    uniforms: Uniforms,
    trials: Geometric,
    max_accepts: int = 2,
    max_rejects: int | None = None,
) -> Draw:
    """AWRS in its geometric form: drawing with replacement, without asking again about a rejected token.

    Orders are drawn of the tokens outside the rejected ones R, each down to an accepted token. While R has mass, every
    trial also stands for the G - 1 trials that would have hit R, G geometric with success probability 1 - p(R). After
    a accepted and n rejected trials, w = Z0 · min(L - 1, a) / (a + n - 1); x is the first accepted token.

    Args:
        log_weights, accept, uniforms: as of :func:`recursive`; numbers are asked for once an accepted token.
        trials: draws G.
        max_accepts: L, at least 2; the variance of w falls with it.
        max_rejects: stop after so many rejected trials (at least 2; None: never); w is unbiased all the same.

    Raises:
        ValueError: as :func:`recursive`, or ``max_accepts`` below 2.
    """
    _limit(max_rejects, max_accepts)
    return _geometric(*normalised(log_weights), accept, uniforms, trials, max_accepts, max_rejects)


def _geometric(
    log_p: Array,
    log_z: float,
    accept: Accept,
    uniforms: Uniforms,
    trials: Geometric,
    max_accepts: int,
    max_rejects: int | None,
) -> Draw:
    asked = _Asked(accept)
    most = np.inf if max_rejects is None else max_rejects
    open_p = log_p.copy()  # of the tokens outside R
    found: int | None = None
    accepts = rejects = 0
    any_rejected = False
    while accepts < max_accepts and rejects < most:
        tokens = order(open_p, uniforms(len(open_p)))
        if not len(tokens):
            return asked.nothing()
        for token in tokens.tolist():
            if any_rejected:
                share = float(np.exp(np.logaddexp.reduce(open_p)))
                rejects += max(1, trials(min(1.0, max(share, _LEAST)))) - 1
                if rejects >= most:
                    rejects = int(most)
                    break
            if asked(token):
                found = token if found is None else found
                accepts += 1
                break
            open_p[token] = -np.inf
            any_rejected = True
            rejects += 1
            if rejects >= most:
                break
    if found is None:
        return asked.nothing()
    estimate = min(max_accepts - 1, accepts) / (accepts + rejects - 1)
    return asked.draw(found, log_z + float(np.log(estimate)))


def awrs(
    log_weights: ArrayLike,
    accept: Accept,
    rng: np.random.Generator,
    max_accepts: int = 2,
    max_rejects: int | None = None,
) -> Draw:
    """AWRS as the library chooses it: the geometric form for L > 2 and where one token has two thirds of the mass
    (fewer than two calls are then expected), else the recursive one. Arguments as :func:`geometric`.
    """
    _limit(max_rejects, max_accepts)
    log_p, log_z = normalised(log_weights)
    if max_accepts > 2 or float(log_p.max()) >= np.log(2 / 3):

        def trials(share: float) -> int:
            return int(rng.geometric(share))

        return _geometric(log_p, log_z, accept, rng.random, trials, max_accepts, max_rejects)
    return _recursive(log_p, log_z, accept, rng.random, max_rejects)


def masked(log_weights: ArrayLike, accept: Accept, uniforms: Uniforms) -> Draw:
    """Full masking: the constraint is asked about every token, x ~ p(v | c) and w = Z0 · p(c), which has no variance
    given ψ. What it costs, V calls, is what AWRS saves. Arguments and errors as :func:`recursive`.
    """
    asked = _Asked(accept)
    log_p, log_z = normalised(log_weights)
    allowed = np.asarray([asked(v) for v in range(len(log_p))])
    log_p = np.where(allowed, log_p, -np.inf)
    tokens = order(log_p, uniforms(len(log_p)))
    if not len(tokens):
        return asked.nothing()
    return asked.draw(int(tokens[0]), log_z + float(np.logaddexp.reduce(log_p)))


def improper(log_weights: ArrayLike, accept: Accept, uniforms: Uniforms) -> Draw:
    """Locally constrained decoding (LCD): the first accepted token, weight 1. Each token is right given its prefix,
    x ~ p(v | c); strings are not, for a prefix that leads nowhere costs nothing. Arguments and errors as
    :func:`recursive`.
    """
    asked = _Asked(accept)
    log_p, _ = normalised(log_weights)
    token = next((v for v in order(log_p, uniforms(len(log_p))).tolist() if asked(v)), None)
    return asked.nothing() if token is None else asked.draw(token, 0.0)


def single(log_weights: ArrayLike, accept: Accept, uniforms: Uniforms) -> Draw:
    """One trial: x ~ p with w = Z0 where it is accepted, else weight 0. Properly weighted, with the variance of an
    importance sampler; under SMC it is the twisted one, whose twist is the constraint on prefixes. Arguments and errors
    as :func:`recursive`.
    """
    asked = _Asked(accept)
    log_p, log_z = normalised(log_weights)
    first = order(log_p, uniforms(len(log_p)))[:1].tolist()
    return asked.draw(first[0], log_z) if first and asked(first[0]) else asked.nothing()


def scripted(rows: Iterable[ArrayLike]) -> Uniforms:
    """Uniform numbers that were drawn before: one row [V] at each call. Raises ValueError when they have run out."""
    stored: Iterator[ArrayLike] = iter(rows)

    def take(count: int) -> ArrayLike:
        row = next(stored, None)
        if row is None or len(np.asarray(row)) != count:
            raise ValueError(f"no row of {count} uniform numbers is left")
        return row

    return take


def _limit(max_rejects: int | None, max_accepts: int = 2) -> None:
    if max_rejects is not None and max_rejects < 2:
        raise ValueError(f"max_rejects must be at least 2, or None for no limit, not {max_rejects}")
    if max_accepts < 2:
        raise ValueError(f"max_accepts must be at least 2, not {max_accepts}")
