"""Golden vectors of decoding: the sections on AWRS, enumerated strings, repetition, calibration and isotropy.

``SECTIONS`` is run by ``tests/test_golden_decoding.py`` beside those on contrast, ranking and losses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from holdfast.analysis.metrics.classification import log_probabilities
from holdfast.analysis.metrics.generation import Repetition, isotropy
from holdfast.datasets.core.enumeration import enumerate_strings
from holdfast.methods.decoding import rejection
from holdfast.methods.decoding.rejection import Draw, scripted

from .golden_vectors import Vectors


def _uniforms_of(order: tuple[int, ...], p: Any) -> Any:
    """Uniform numbers that give this order: log p - log(-log u) = -rank."""
    u = np.full(len(p), 0.5)
    u[list(order)] = np.exp(-p[list(order)] * np.exp(np.arange(len(order))))
    return u


def _orders(p: Any) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every order of the tokens that have mass, and its probability."""
    for order in itertools.permutations(np.flatnonzero(p).tolist()):
        left = np.cumsum(p[list(order)][::-1])[::-1]
        yield order, float(np.prod(p[list(order)] / left))


def _heads(p: Any, accept: Any, beyond: int) -> Iterator[tuple[tuple[int, ...], Any, float]]:
    """What a sampler sees of the orders of ``p``: the tokens up to the first accepted one and ``beyond`` more, uniform
    numbers that give them, and their probability.
    """
    heads: dict[tuple[int, ...], tuple[Any, float]] = {}
    for order, share in _orders(p):
        stop = next((k for k, v in enumerate(order) if accept(v)), len(order)) + 1
        numbers, known = heads.get(order[: stop + beyond], (None, 0.0))
        heads[order[: stop + beyond]] = (_uniforms_of(order, p) if numbers is None else numbers, known + share)
    for head, (numbers, share) in heads.items():
        yield head[: len(head) - beyond] if beyond else head, numbers, share


def _recursive(p: Any, accept: Any) -> Iterator[tuple[Draw, float]]:
    for _, numbers, share in _heads(p, accept, 1):
        yield rejection.recursive(np.log(p), accept, scripted([numbers])), share


def _two_loop(p: Any, accept: Any) -> Iterator[tuple[Draw, float]]:
    seconds: dict[tuple[int, ...], list[tuple[Any, float]]] = {}
    for head, numbers, share in _heads(p, accept, 0):
        rejected = tuple(sorted(v for v in head if not accept(v)))
        if rejected not in seconds:
            rest = p.copy()
            rest[list(rejected)] = 0
            seconds[rejected] = [(again, part) for _, again, part in _heads(rest / rest.sum(), accept, 0)]
        for again, part in seconds[rejected]:
            yield rejection.two_loop(np.log(p), accept, scripted([numbers, again])), share * part


def _following(stored: Iterator[int]) -> rejection.Geometric:
    """Numbers of trials that were drawn before, one after another."""
    return lambda share: next(stored)


def awrs(g: Vectors) -> None:
    p, allowed = g.get("awrs/p"), g.get("awrs/accept")

    def accept(token: int) -> bool:
        return bool(allowed[token])

    calls = []
    for name, draws in (("recursive", _recursive(p, accept)), ("two_loop", _two_loop(p, accept))):
        first, second, count = np.zeros(len(p)), np.zeros(len(p)), 0.0
        for draw, share in draws:
            count += share * draw.trials
            if draw.token is not None:
                first[draw.token] += share * np.exp(draw.log_weight)
                second[draw.token] += share * np.exp(2 * draw.log_weight)
        g.agree("awrs/expected_weight_per_token", first)
        g.agree("awrs/Z", first.sum())
        g.agree(f"awrs/second_moment_{name}", second)
        calls.append(count)
    g.agree("awrs/expected_evaluations_recursive_two_loop", calls)
    uniforms, draws_of = g.get("awrs/uniforms"), g.get("awrs/geometric_draws")
    recursive = [rejection.recursive(np.log(p), accept, scripted(u)) for u in uniforms]
    loops = [rejection.two_loop(np.log(p) + 0.7, accept, scripted(u)) for u in uniforms]
    repeated, used = [], []
    for u, stored in zip(uniforms, draws_of, strict=True):
        left = iter(stored.tolist())
        repeated.append(rejection.geometric(np.log(p), accept, scripted(u), _following(left)))
        used.append(len(stored) - len(list(left)))
    names = (
        "recursive_token_logw",
        "two_loop_token_logw_with_logZ_0.7",
        "geometric_token_logw_max_accepts_2",
    )
    for name, drawn in zip(names, (recursive, loops, repeated), strict=True):
        g.agree(f"awrs/official_{name}", [[d.token, d.log_weight] for d in drawn])
    g.agree("awrs/geometric_draws_used", used)


class _SumOfThree:
    """Not 1 after 1, the sum divisible by 3, at most five tokens; a prefix must be completable."""

    def complete(self, ids: tuple[int, ...]) -> bool:
        return sum(ids) % 3 == 0 and len(ids) <= 5 and (1, 1) not in itertools.pairwise(ids)

    def prefix(self, ids: tuple[int, ...]) -> bool:
        if len(ids) > 5 or (1, 1) in itertools.pairwise(ids):
            return False
        return self.complete(ids) or any(self.prefix((*ids, v)) for v in range(3))


def strings(g: Vectors) -> None:
    with np.errstate(divide="ignore"):
        table = np.log(g.get("smc/transition_rows_start_0_1_2_cols_0_1_2_eos"))
    found = enumerate_strings(lambda ids: table[ids[-1] + 1 if ids else 0], _SumOfThree(), 3, 5)
    padded = [(*ids, *[-1] * (5 - len(ids))) for ids in found.strings]
    g.agree("smc/strings_padded_minus1", padded)
    g.agree("smc/lm_mass", found.mass)
    g.agree("smc/log_Z", found.log_z)
    g.agree("smc/posterior", found.posterior)
    g.agree("smc/local_masking_distribution", found.local)
    g.agree("smc/kl_posterior_to_local", found.divergence_of_local)


def repetition(g: Vectors) -> None:
    texts = g.get("repetition/texts")
    for name, published in (("official", True), ("all_ngrams", False)):
        counts = Repetition(published)
        for text in texts:
            counts.update(str(text).split())
        measures = counts.measures()
        values = [measures[key] for key in ("rep_2", "rep_3", "rep_4", "diversity")]
        g.agree(f"repetition/{name}_rep2_rep3_rep4_diversity", values)


def calibration(g: Vectors) -> None:
    """The published count keeps shares of rows in float32; ours agrees to that, its rounded form to the last digit."""
    from holdfast.analysis.metrics.classification import Calibration

    logits, labels = g.get("calib/ece_logits"), g.get("calib/ece_labels")
    logs = log_probabilities({"scores": logits}, logits.shape[1])
    assert logs is not None
    bins = Calibration(10)
    bins.update(labels, logits.argmax(1), logs)
    held = bins.rows > 0
    right = np.float32(bins.right[held] / bins.rows[held]).astype(np.float64)
    share = np.float32(bins.rows[held] / bins.rows.sum()).astype(np.float64)
    rounded = (np.abs(bins.confidence[held] / bins.rows[held] - right) * share).sum()
    np.testing.assert_allclose(rounded, bins.measures()["ece"], rtol=1e-6)
    g.agree("calib/ece_10_bins", [rounded])


def isotropies(g: Vectors) -> None:
    hidden, lengths = g.get("simctg/hidden"), g.get("isotropy/lengths")
    value = isotropy([row[:n] for row, n in zip(hidden, lengths.tolist(), strict=False)])
    g.agree("isotropy/value_unrounded", value)


SECTIONS = (awrs, strings, repetition, calibration, isotropies)
