"""Strings under a constraint: sequential Monte Carlo (SMC) over the tokens of a language model.

N particles grow token by token. Each step multiplies a particle's weight by that of a token sampler of
:mod:`.rejection`; where the weights have become uneven, particles are drawn anew by them. What comes out are weighted
strings, and an unbiased estimate of the evidence: the mass that the language model gives to all allowed strings.

Source: Lipkin et al. 2025 (arXiv 2504.05410) and the library of its authors, llamppl; Loula et al., Syntactic and
semantic control of large language models via sequential Monte Carlo, ICLR 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .rejection import Draw, awrs, improper, masked, single

Array = NDArray[np.float64]
Ids = tuple[int, ...]
Sampler = Callable[[Array, Callable[[int], bool], np.random.Generator], Draw]

# log p [m, V] of what follows each of m prefixes. ``parents`` [m]: which row of the call before each continues (by one
# token), for a model that keeps a cache; None at the first call.
NextTokens = Callable[[Sequence[Ids], Sequence[int] | None], Array]

SAMPLERS: dict[str, Sampler] = {
    "awrs": lambda p, accept, rng: awrs(p, accept, rng),
    "masked": lambda p, accept, rng: masked(p, accept, rng.random),
    "single": lambda p, accept, rng: single(p, accept, rng.random),
    "improper": lambda p, accept, rng: improper(p, accept, rng.random),
}


class Constraint(Protocol):
    """Which strings are allowed. ``prefix`` must be true of every prefix of a complete string; it should be false
    where no complete string can follow, else particles die late.
    """

    def prefix(self, ids: Ids) -> bool:
        """Whether an allowed string may begin so."""
        ...

    def complete(self, ids: Ids) -> bool:
        """Whether the string, which ends here, is allowed."""
        ...


@dataclass(frozen=True)
class Posterior:
    """Weighted strings.

    ``strings`` [N], None for a particle that has died. ``log_weights`` [N]. ``log_evidence``: estimate of the log of
    the mass of all allowed strings, unbiased before the logarithm; -inf where all have died. ``calls``: how often the
    constraint was asked; ``resampled``: how often particles were drawn anew; ``tokens``: how many were sampled.
    """

    strings: tuple[Ids | None, ...]
    log_weights: Array
    log_evidence: float
    calls: int
    resampled: int
    tokens: int

    @property
    def failed(self) -> bool:
        """Whether no particle is left: there is then nothing to normalise."""
        return bool(np.isneginf(self.log_evidence))

    def probabilities(self) -> dict[Ids, float]:
        """Normalised weight of each string; empty where all particles have died."""
        if self.failed:
            return {}
        share = np.exp(self.log_weights - np.logaddexp.reduce(self.log_weights))
        found: dict[Ids, float] = {}
        for ids, weight in zip(self.strings, share, strict=True):
            if ids is not None and weight > 0:
                found[ids] = found.get(ids, 0.0) + float(weight)
        return found


def effective(log_weights: Array) -> float:
    """Effective number of particles, (Σ w)² / Σ w²; 0 where all weights are."""
    total = np.logaddexp.reduce(log_weights)
    return 0.0 if np.isneginf(total) else float(np.exp(2 * total - np.logaddexp.reduce(2 * log_weights)))


def stratified(log_weights: Array, rng: np.random.Generator) -> list[int]:
    """N numbers of particles, drawn by their weights, one in each of N equal strata of [0, 1): particle i is drawn
    N w_i times in the mean, and less unevenly than by N free draws. Raises ValueError where all weights are 0.
    """
    total = np.logaddexp.reduce(log_weights)
    if np.isneginf(total):
        raise ValueError("all weights are 0: there is nothing to draw")
    count = len(log_weights)
    upper = np.cumsum(np.exp(log_weights - total))
    places = (np.arange(count) + rng.random(count)) / count
    alive = np.flatnonzero(~np.isneginf(log_weights))
    return [int(k) for k in np.minimum(np.searchsorted(upper, places, side="right"), alive[-1])]


def smc(
    next_tokens: NextTokens,
    constraint: Constraint,
    eos: int,
    *,
    particles: int,
    max_tokens: int,
    rng: np.random.Generator,
    sampler: Sampler | str = "awrs",
    threshold: float = 0.5,
    start: Ids = (),
) -> Posterior:
    """Sample strings of a language model that a constraint allows.

    A string ends with ``eos`` (asked as ``complete``; it is not part of the string). One that has ``max_tokens`` tokens
    is ended by force, and log p(eos) is added to its weight: it stays in the posterior with the mass that it has.
    Before a step, where the effective number of particles is below ``threshold`` · N, all N are drawn anew
    (:func:`stratified`) and get the mean weight, so that the mean weight at the end estimates the evidence.

    Args:
        next_tokens: the language model; asked only for particles that have not ended.
        constraint: of strings, ``start`` included.
        eos: number of the token that ends a string.
        particles: N, at least 1. N = 1 or ``threshold`` 0: importance sampling.
        max_tokens: of a string beside ``start``.
        rng: of all draws.
        sampler: of a token; a name of :data:`SAMPLERS` or a function.
        threshold: in [0, 1].
        start: a prefix that every string has; strings come out without it.

    Raises:
        ValueError: sizes out of range or an unknown sampler.
    """
    if particles < 1 or max_tokens < 0 or not 0 <= threshold <= 1:
        raise ValueError(f"particles {particles}, max_tokens {max_tokens} or threshold {threshold} is out of range")
    if isinstance(sampler, str):
        if sampler not in SAMPLERS:
            raise ValueError(f"unknown token sampler '{sampler}' (there are: {', '.join(SAMPLERS)})")
        sampler = SAMPLERS[sampler]
    prefixes: list[Ids] = [start] * particles
    weights = np.zeros(particles)
    ended = [False] * particles
    rows: dict[int, int] = {}  # particle -> its row in the model's last call
    calls = resampled = tokens = 0
    while live := [i for i in range(particles) if not ended[i]]:
        if effective(weights) < threshold * particles and not np.isneginf(weights).all():
            chosen = stratified(weights, rng)
            prefixes, ended = [prefixes[i] for i in chosen], [ended[i] for i in chosen]
            rows = {k: rows[i] for k, i in enumerate(chosen) if i in rows}
            weights = np.full(particles, np.logaddexp.reduce(weights) - np.log(particles))
            resampled += 1
            live = [i for i in range(particles) if not ended[i]]
            if not live:
                break
        log_p = next_tokens([prefixes[i] for i in live], [rows[i] for i in live] if rows else None)
        rows = {i: row for row, i in enumerate(live)}
        for row, i in enumerate(live):
            prefix, following = prefixes[i], log_p[row]
            if len(prefix) - len(start) >= max_tokens:  # ended by force
                following = np.where(np.arange(len(following)) == eos, following, -np.inf)
            draw = sampler(following, _allowed(constraint, prefix, eos), rng)
            weights[i] += draw.log_weight
            calls, tokens = calls + draw.calls, tokens + 1
            ended[i] = draw.token is None or draw.token == eos
            if not ended[i]:
                prefixes[i] = (*prefix, int(draw.token or 0))
    dead = np.isneginf(weights)
    strings = tuple(None if gone else ids[len(start) :] for ids, gone in zip(prefixes, dead, strict=True))
    evidence = float(np.logaddexp.reduce(weights) - np.log(particles))
    return Posterior(strings, weights, evidence, calls, resampled, tokens)


def _allowed(constraint: Constraint, prefix: Ids, eos: int) -> Callable[[int], bool]:
    """The constraint on the token that follows ``prefix``."""
    return lambda v: constraint.complete(prefix) if v == eos else constraint.prefix((*prefix, v))
