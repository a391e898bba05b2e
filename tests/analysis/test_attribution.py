"""Variance attributed to strengths: a table computed by hand, what is refused, and differences with their signs."""

from __future__ import annotations

import itertools
import math

import pytest
from holdfast.analysis.attribution import Point, Variance, changes, variance

NAMES = ("bias", "drift")


def grid(cells: dict[tuple[float, float], list[float]]) -> list[Point]:
    return [Point(seed, strengths, value) for strengths, each in cells.items() for seed, value in enumerate(each)]


# Two strengths of two values, three seeds; the mean of all is 5. Means of cells 2, 4, 5, 9; of bias 3 and 7, of drift
# 3.5 and 6.5, of seeds 4, 5.25 and 5.75.
BY_HAND = grid({(0.0, 0.0): [1, 2, 3], (0.0, 1.0): [3, 4, 5], (1.0, 0.0): [4, 6, 5], (1.0, 1.0): [8, 9, 10]})


def by_name(found: Variance) -> dict[str, tuple[int, float]]:
    return {term.name: (term.df, term.sum_squares) for term in found.terms}


def test_the_table_that_was_computed_by_hand() -> None:
    """SS: total 86; bias 12·2² = 48; drift 12·1.5² = 27; pair 12·0.5² = 3; seeds 4(1 + 1/16 + 9/16) = 6.5; rest 1.5."""
    found = variance(BY_HAND, NAMES)
    expected = {"seed": (2, 6.5), "bias": (1, 48.0), "drift": (1, 27.0), "bias:drift": (1, 3.0), "residual": (6, 1.5)}
    assert {name: df for name, (df, _) in by_name(found).items()} == {name: df for name, (df, _) in expected.items()}
    for name, (_, squares) in expected.items():
        assert by_name(found)[name][1] == pytest.approx(squares, abs=1e-9)
    bias = found.terms[1]
    assert bias.f == pytest.approx(48 / 0.25)
    assert bias.eta == pytest.approx(48 / 86)
    assert bias.omega == pytest.approx((48 - 0.25) / (48 + 11 * 0.25))
    pair = found.terms[3]
    assert pair.f == pytest.approx(12.0)
    assert pair.p == pytest.approx(0.013400, abs=1e-5)  # of F(1, 6) at 12: that of t(6) at √12
    assert sum(term.eta for term in found.terms) == pytest.approx(1.0)
    assert (found.n, found.seeds) == (12, 3)
    assert 0 < found.shapiro <= 1
    assert 0 < found.levene <= 1


def test_differences_say_which_way_and_what_both_add() -> None:
    found = changes(BY_HAND, NAMES)
    assert {name: change.mean for name, change in found.items()} == pytest.approx(
        {"bias": 4.0, "drift": 3.0, "bias:drift": 2.0}
    )
    assert found["bias"].n == 3
    each = [(4 + 8 - 1 - 3) / 2, (6 + 9 - 2 - 4) / 2, (5 + 10 - 3 - 5) / 2]  # of a seed
    mean = sum(each) / 3
    deviation = math.sqrt(sum((x - mean) ** 2 for x in each) / 2)
    assert found["bias"].half == pytest.approx(4.302653 * deviation / math.sqrt(3), rel=1e-5)


def test_a_constant_added_to_a_seed_moves_nothing_but_the_block() -> None:
    moved = [Point(p.seed, p.strengths, p.value + 10 * p.seed) for p in BY_HAND]
    before, after = variance(BY_HAND, NAMES), variance(moved, NAMES)
    for one, other in zip(before.terms[1:], after.terms[1:], strict=True):
        assert other.sum_squares == pytest.approx(one.sum_squares, abs=1e-9)
    assert after.terms[0].sum_squares > before.terms[0].sum_squares
    assert changes(moved, NAMES)["drift"].mean == pytest.approx(3.0)


def test_of_three_strengths_all_pairs_are_looked_at() -> None:
    levels = list(itertools.product((0.0, 1.0), repeat=3))
    points = [
        Point(s, x, x[0] + 2 * x[1] * x[2] + 0.01 * ((7 * s + 3 * k) % 5)) for k, x in enumerate(levels) for s in (0, 1)
    ]
    found = {term.name: term for term in variance(points, ("a", "b", "c")).terms}
    assert list(found) == ["seed", "a", "b", "c", "a:b", "a:c", "b:c", "residual"]
    assert found["b:c"].p < 1e-6
    assert found["a:b"].p > 0.001
    assert changes(points, ("a", "b", "c"))["b:c"].mean == pytest.approx(2.0, abs=0.05)


def test_a_value_that_lacks_leaves_a_table_and_costs_its_seed_in_the_differences() -> None:
    found = variance(BY_HAND[:-1], NAMES)
    assert found.n == 11
    assert found.terms[-1].df == 5
    assert changes(BY_HAND[:-1], NAMES)["bias"].n == 2


def test_without_a_residual_there_is_no_test() -> None:
    exact = [Point(s, (a, b), a + b) for s in (0, 1) for a in (0.0, 1.0) for b in (0.0, 1.0)]
    found = variance(exact, NAMES)
    assert math.isnan(found.terms[1].p)
    assert found.terms[1].eta == pytest.approx(0.5)
    assert math.isnan(found.shapiro)
    same = variance([Point(p.seed, p.strengths, 1 / 3) for p in exact], NAMES)
    assert math.isnan(same.terms[1].eta)
    assert math.isnan(same.terms[1].p), "what rounding leaves is no residual"


def test_residuals_that_are_far_from_normal_are_doubted() -> None:
    skewed = [Point(s, (float(a),), 100.0 if (s, a) == (7, 1) else 0.1 * s + a) for s in range(12) for a in range(2)]
    assert any("Shapiro" in doubt for doubt in variance(skewed, ("bias",)).doubts)
    assert not variance(BY_HAND, NAMES).doubts
    spread = [
        Point(s, (float(a),), (-1) ** s * (5.0 if a == 3 else 0.01) + 0.01 * s) for s in range(12) for a in range(4)
    ]
    assert any("Levene" in doubt for doubt in variance(spread, ("bias",)).doubts)


@pytest.mark.parametrize(
    ("points", "names", "message"),
    [
        ([p for p in BY_HAND if p.seed == 0], NAMES, "needs 2 or more"),
        ([p for p in BY_HAND if p.strengths != (1.0, 0.0)], NAMES, "bias=1, drift=0"),
        ([*BY_HAND, BY_HAND[0]], NAMES, "two values of one seed"),
        ([p for p in BY_HAND if p.strengths[0] == 0], NAMES, "bias: one value alone"),
        (BY_HAND, (), "no strength"),
    ],
)
def test_what_is_refused(points: list[Point], names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        variance(points, names)
