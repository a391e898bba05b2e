"""Token samplers under a constraint: weights by counting every order, and their limits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from holdfast.methods.decoding import rejection
from holdfast.methods.decoding.rejection import Draw, scripted

P = np.array([0.45, 0.25, 0.15, 0.1, 0.05])
ALLOWED = (1, 3)


def accept(token: int) -> bool:
    return token in ALLOWED


def uniforms_of(order: tuple[int, ...], p: np.ndarray) -> np.ndarray:
    """Uniform numbers that give this order: log p - log(-log u) = -rank."""
    u = np.full(len(p), 0.5)
    for rank, token in enumerate(order):
        u[token] = math.exp(-p[token] * math.exp(rank))
    return u


def orders(p: np.ndarray) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every order of the tokens that have mass, with its probability under drawing without replacement."""
    tokens = [v for v in range(len(p)) if p[v] > 0]
    for order in itertools.permutations(tokens):
        left, probability = sum(p), 1.0
        for token in order:
            probability *= p[token] / left
            left -= p[token]
        yield order, probability


def moments(draws: Iterator[tuple[Draw, float]], size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """E[w · 1{x = v}], E[w² · 1{x = v}] [V] and the expected number of calls."""
    first, second, calls = np.zeros(size), np.zeros(size), 0.0
    for draw, probability in draws:
        calls += probability * draw.calls
        if draw.token is not None:
            first[draw.token] += probability * math.exp(draw.log_weight)
            second[draw.token] += probability * math.exp(2 * draw.log_weight)
    return first, second, calls


def all_recursive(p: np.ndarray, max_rejects: int | None = None) -> Iterator[tuple[Draw, float]]:
    for order, probability in orders(p):
        yield rejection.recursive(np.log(p), accept, scripted([uniforms_of(order, p)]), max_rejects), probability


def all_two_loop(p: np.ndarray) -> Iterator[tuple[Draw, float]]:
    for order, probability in orders(p):
        rejected = list(itertools.takewhile(lambda v: not accept(v), order))
        rest = p.copy()
        rest[rejected] = 0
        for again, share in orders(rest / rest.sum()):
            numbers = scripted([uniforms_of(order, p), uniforms_of(again, rest)])
            yield rejection.two_loop(np.log(p), accept, numbers), probability * share


@pytest.mark.parametrize("max_rejects", [None, 2, 3, 4])
def test_the_recursive_form_is_properly_weighted_whatever_its_limit(max_rejects: int | None) -> None:
    first, _, _ = moments(all_recursive(P, max_rejects), 5)
    np.testing.assert_allclose(first, [0, 0.25, 0, 0.1, 0], rtol=1e-12)


def test_the_two_loop_form_is_properly_weighted_and_both_variances_are_as_published() -> None:
    first, second, _ = moments(all_two_loop(P), 5)
    np.testing.assert_allclose(first, [0, 0.25, 0, 0.1, 0], rtol=1e-12)
    assert second.sum() - first.sum() ** 2 == pytest.approx(0.074, abs=5e-4)
    first, second, _ = moments(all_recursive(P), 5)
    assert second.sum() - first.sum() ** 2 == pytest.approx(0.049, abs=5e-4)


@pytest.mark.parametrize(("limits", "variance"), [((2, None), 0.076), ((4, None), 0.028), ((2, 3), None)])
def test_the_geometric_form_is_properly_weighted(limits: tuple[int, int | None], variance: float | None) -> None:
    rng = np.random.default_rng(0)
    total, squares, n = np.zeros(5), 0.0, 6_000
    for _ in range(n):
        draw = rejection.geometric(np.log(P), accept, rng.random, lambda q: int(rng.geometric(q)), *limits)
        if draw.token is not None:
            total[draw.token] += math.exp(draw.log_weight)
            squares += math.exp(2 * draw.log_weight)
    np.testing.assert_allclose(total / n, [0, 0.25, 0, 0.1, 0], atol=0.013)
    if variance is not None:
        assert squares / n - 0.35**2 == pytest.approx(variance, abs=0.008)


Sampler = Callable[[np.ndarray, Callable[[int], bool], np.random.Generator], Draw]
PROPER: dict[str, Sampler] = {
    "recursive": lambda p, c, rng: rejection.recursive(p, c, rng.random),
    "two_loop": lambda p, c, rng: rejection.two_loop(p, c, rng.random),
    "geometric": lambda p, c, rng: rejection.geometric(p, c, rng.random, lambda q: int(rng.geometric(q))),
    "awrs": rejection.awrs,
    "masked": lambda p, c, rng: rejection.masked(p, c, rng.random),
    "single": lambda p, c, rng: rejection.single(p, c, rng.random),
}


@pytest.mark.parametrize("name", PROPER)
def test_properties_of_every_properly_weighted_sampler(name: str) -> None:
    sample = PROPER[name]
    psi = np.log(P) + 0.7
    for seed in range(20):
        free = sample(psi, lambda v: True, np.random.default_rng(seed))
        assert free.log_weight == pytest.approx(0.7)  # no constraint: w = Z0
        draw = sample(psi, accept, np.random.default_rng(seed))
        assert draw == sample(psi, accept, np.random.default_rng(seed))
        assert draw.log_weight <= 0.7 + 1e-12
        assert draw.calls <= min(5, draw.trials)
        assert (draw.token is None) == np.isneginf(draw.log_weight)
        shifted = sample(psi + 2, accept, np.random.default_rng(seed))
        assert shifted.token == draw.token
        assert shifted.log_weight == pytest.approx(draw.log_weight + 2)
        only = sample(psi, lambda v: v == 4, np.random.default_rng(seed))
        assert only.token in (4, None)
        assert sample(psi, lambda v: False, np.random.default_rng(seed)).token is None
        assert sample(np.full(5, -np.inf), lambda v: True, np.random.default_rng(seed)).token is None


def test_a_permuted_vocabulary_permutes_the_results() -> None:
    u, to = np.random.default_rng(1).random(5), np.array([3, 0, 4, 2, 1])
    draw = rejection.recursive(np.log(P), accept, scripted([u]))
    moved = rejection.recursive(np.log(P[to]), lambda v: accept(int(to[v])), scripted([u[to]]))
    assert draw.token is not None
    assert moved.token is not None
    assert to[moved.token] == draw.token
    assert moved.log_weight == pytest.approx(draw.log_weight)


def test_a_rare_allowed_token_is_found_where_the_library_gives_up() -> None:
    """It stops once 1 - 1e-5 of the mass is rejected: this weight would be 0."""
    draw = rejection.recursive(np.log([1 - 4e-6, 4e-6]), lambda v: v == 1, scripted([[0.5, 0.5]]))
    assert draw.token == 1
    assert draw.log_weight == pytest.approx(math.log(4e-6), rel=1e-9)


def test_the_argument_is_not_overwritten_and_extreme_numbers_are_no_trouble() -> None:
    psi = np.log(P)
    kept = psi.copy()
    rejection.geometric(psi, accept, scripted([[0.0, 1.0, 0, 1, 0.5]] * 3), lambda q: 1)
    np.testing.assert_array_equal(psi, kept)
    assert rejection.recursive([-np.inf, 0.0], lambda v: True, scripted([[0.9, 0.0]])).token == 1


def test_locally_constrained_decoding_has_weight_one() -> None:
    draw = rejection.improper(np.log(P), accept, scripted([uniforms_of((0, 3, 1, 2, 4), P)]))
    assert draw == Draw(3, 0.0, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rejection.recursive([0.0], accept, scripted([]), 1), "max_rejects must be at least 2"),
        (lambda: rejection.geometric([0.0], accept, scripted([]), lambda q: 1, 1), "max_accepts must be at least 2"),
        (lambda: rejection.awrs([0.0, 0.0], accept, np.random.default_rng(0), 1), "max_accepts must be at least 2"),
        (lambda: rejection.masked([np.nan], accept, scripted([])), "finite or -inf"),
        (lambda: rejection.recursive([0.0, 0.0], accept, scripted([[0.5]])), "no row of 2"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], Draw], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
