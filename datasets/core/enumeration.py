"""All strings that a language model may write and a constraint allows, with their exact probabilities.

For worlds small enough to count: what a sampler of constrained strings is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

Array = NDArray[np.float64]
Ids = tuple[int, ...]
MOST = 1_000_000  # prefixes that are looked at, at most


class Strings(Protocol):
    """Which strings are allowed, as :class:`holdfast.methods.decoding.particles.Constraint`."""

    def prefix(self, ids: Ids) -> bool:
        """Whether an allowed string may begin so."""
        ...

    def complete(self, ids: Ids) -> bool:
        """Whether the string, which ends here, is allowed."""
        ...


@dataclass(frozen=True)
class Enumerated:
    """The allowed strings, in the order of their tokens.

    ``mass`` [n]: probability under the language model, its end included. ``log_z``: log Σ mass, the evidence.
    ``posterior`` [n]: mass / Σ mass. ``local`` [n]: probability where each token is drawn among the allowed ones
    (masking), without regard for what follows.
    """

    strings: tuple[Ids, ...]
    mass: Array
    log_z: float
    posterior: Array
    local: Array

    @property
    def divergence_of_local(self) -> float:
        """KL(posterior ‖ local) in nats: how far masking alone is off."""
        held = self.posterior > 0
        return float((self.posterior[held] * np.log(self.posterior[held] / self.local[held])).sum())


def enumerate_strings(
    next_tokens: Callable[[Ids], Array], constraint: Strings, eos: int, max_tokens: int
) -> Enumerated:
    """Every allowed string of at most ``max_tokens`` tokens (the end, ``eos``, not counted).

    Args:
        next_tokens: prefix -> log-probabilities [V] of the next token.
        constraint: ``prefix`` must be true of every prefix of an allowed string. A string of ``max_tokens`` tokens is
            ended by force: its local probability has no factor for its end.

    Raises:
        DataError: no string is allowed, or there are more than a million prefixes.
    """
    found: list[tuple[Ids, float, float]] = []
    seen = 0

    def walk(ids: Ids, log_mass: float, log_local: float) -> None:
        nonlocal seen
        seen += 1
        if seen > MOST:
            raise DataError(f"more than {MOST:,} prefixes to count: make the strings shorter or the symbols fewer")
        log_p = np.asarray(next_tokens(ids), np.float64)
        end = constraint.complete(ids)
        if len(ids) == max_tokens:
            if end:
                found.append((ids, log_mass + log_p[eos], log_local))
            return
        allowed = [v for v in range(len(log_p)) if v != eos and constraint.prefix((*ids, v))]
        local = float(np.logaddexp.reduce(log_p[[*allowed, eos] if end else allowed])) if allowed or end else -np.inf
        if end:
            found.append((ids, log_mass + log_p[eos], log_local + log_p[eos] - local))
        for v in allowed:
            if np.isfinite(log_p[v]):
                walk((*ids, v), log_mass + log_p[v], log_local + log_p[v] - local)

    walk((), 0.0, 0.0)
    if not found or np.isneginf(log_z := float(np.logaddexp.reduce([mass for _, mass, _ in found]))):
        raise DataError(f"no string of at most {max_tokens} tokens is allowed")
    found.sort(key=lambda item: item[0])
    logs = np.array([mass for _, mass, _ in found])
    return Enumerated(
        tuple(ids for ids, _, _ in found),
        np.exp(logs),
        log_z,
        np.exp(logs - log_z),
        np.exp([local for _, _, local in found]),
    )
