"""Search: decoder widths from a preference, the best configuration within a budget, widths by stage."""

from __future__ import annotations

import itertools

import pytest
from holdfast.methods.networks.slimmable_search import (
    BudgetError,
    check_preference,
    decoder_widths,
    overall,
    search,
    search_by_stage,
)
from holdfast.methods.networks.slimmable_widths import Configuration, ratios

GRID = (0.25, 0.5, 0.75, 1.0)


def cost(c: Configuration) -> float:
    e = ratios(c.encoder)
    mean = sum(e) / len(e)
    return 100 * mean**2 + sum(20 * mean * d for d in c.decoders)


def score(c: Configuration) -> float:
    e = ratios(c.encoder)
    return sum(x**0.5 for x in e) / len(e) + 0.1 * max(c.decoders)


def test_decoder_widths_follow_the_preference_and_nothing_but_its_shape() -> None:
    assert decoder_widths((1, 0, 0), 0.75, GRID) == (0.75, 0.25, 0.25)
    assert decoder_widths((2, 2), 0.5, GRID) == (0.5, 0.5)
    for r in itertools.product((0.0, 0.2, 0.5, 1.0), repeat=3):
        if any(r):
            widths = decoder_widths(r, 1.0, GRID)
            assert decoder_widths([7 * x for x in r], 1.0, GRID) == widths
            assert decoder_widths(r[::-1], 1.0, GRID) == widths[::-1]
            ordered = [w for _, w in sorted(zip(r, widths, strict=True))]
            assert ordered == sorted(ordered)


@pytest.mark.parametrize(
    ("preference", "message"),
    [
        ((0.0, 0.0), "all preferences are 0"),
        ((1.0, -0.1), "not negative"),
        ((1.0, float("nan")), "finite"),
        ((), "finite"),
        ((1.0,), "each of the 2 tasks"),
    ],
)
def test_preferences_that_are_none_are_refused(preference: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_preference(preference, 2 if message.startswith("each") else None)


def test_the_best_within_the_budget_improves_with_it() -> None:
    most = cost(Configuration(1.0, (1.0, 0.5)))
    best = -1.0
    for share in (0.1, 0.2, 0.4, 0.7, 1.0):
        try:
            found = search((1, 0.4), share * most, GRID, cost, score)
        except BudgetError:
            assert share == 0.1
            continue
        assert found.cost <= share * most
        assert found.score >= best
        best = found.score
        every = [Configuration(e, decoder_widths((1, 0.4), s, GRID)) for e in GRID for s in GRID]
        assert best == max(score(c) for c in every if cost(c) <= share * most)
    assert found.configuration == Configuration(1.0, decoder_widths((1, 0.4), 1.0, GRID))
    decoders_first = search((1, 0.4), 0.4 * most, GRID, cost, score, joint=False)
    assert decoders_first.cap >= search((1, 0.4), 0.4 * most, GRID, cost, score).cap


def test_an_impossible_budget_names_the_smallest_cost() -> None:
    least = cost(Configuration(0.25, (0.25, 0.25)))
    with pytest.raises(BudgetError, match=f"the smallest costs {least:,.0f}") as caught:
        search((1, 1), least - 1e-6, GRID, cost, score)
    assert caught.value.least == least
    assert search((1, 1), least, GRID, cost, score).cost == least


def test_equal_scores_go_to_the_dearer_configuration() -> None:
    found = search((1, 1), 1e9, GRID, cost, lambda c: 0.0)
    assert found.configuration == Configuration(1.0, (1.0, 1.0))


def test_widths_by_stage_are_never_worse_nor_dearer_and_seeded() -> None:
    start = search((1, 0), 80, GRID, cost, score)
    found = search_by_stage(start, 3, 80, GRID, cost, score, population=8, rounds=3)
    assert found.cost <= 80
    assert found.score >= start.score
    assert found == search_by_stage(start, 3, 80, GRID, cost, score, population=8, rounds=3)
    better = search_by_stage(start, 3, 80, GRID, cost, lambda c: ratios(c.encoder)[-1] - cost(c) / 1e6, rounds=4)
    assert ratios(better.configuration.encoder)[-1] == 1.0
    assert len(set(ratios(better.configuration.encoder))) > 1


def test_overall_is_the_mean_relative_change_in_the_better_direction() -> None:
    table = {(1.0, "a", 1.0): 0.5, (1.0, "b", 1.0): 2.0, (0.5, "a", 0.5): 0.4, (0.5, "b", 1.0): 3.0}
    rate = overall(table, ("a", "b"), {"a": True, "b": False})  # type: ignore[arg-type]
    assert rate(Configuration(1.0, (1.0, 1.0))) == 0
    assert rate(Configuration(0.5, (0.5, 1.0))) == pytest.approx((-0.2 - 0.5) / 2)
    heavy = overall(table, ("a", "b"), {"a": True, "b": False}, weights=(1.0, 0.0))  # type: ignore[arg-type]
    assert heavy(Configuration(0.5, (0.5, 1.0))) == pytest.approx(-0.2)
