"""Continual measures."""

from __future__ import annotations

import random

import pytest
from holdfast.analysis.metrics import continual


def test_one_experience_has_no_forgetting() -> None:
    found = continual.summary({(0, 0): (0.5, 10), (0, 1): (1.0, 30)})
    assert found == {"average": 0.875, "average_rows": 0.75, "last": 0.875, "bwt": 0.0, "forgetting": 0.0}


def test_what_is_forgotten_is_measured_from_the_best_before() -> None:
    assert continual.forgotten([0.5, 0.9, 0.6]) == pytest.approx(0.3)
    assert continual.forgotten([0.5, 0.6]) == pytest.approx(-0.1)
    assert continual.forgotten([3.0, 1.0, 2.5], higher_is_better=False) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="two values or more"):
        continual.forgotten([0.5])


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_plasticity_stability_and_generalisability_equal_plain_loops(seed: int, higher: bool) -> None:
    rng = random.Random(seed)
    n = 2 + seed
    matrix = [[rng.random() for _ in range(n)] for _ in range(n)]
    cells = {(t, j): (matrix[t][j], rng.randint(1, 50)) for t in range(n) for j in range(n)}
    diagonal = below = then = above = 0.0
    for t in range(n):
        for j in range(n):
            if t == j:
                diagonal += matrix[t][j]
            elif j < t:
                below += matrix[t][j]
                then += matrix[j][j]
            else:
                above += matrix[t][j]
    found = continual.summary(cells, higher)
    assert found["plasticity"] == pytest.approx(diagonal / n)
    assert found["stability"] == pytest.approx(below / then if higher else then / below)
    assert found["generalisability"] == pytest.approx(above / (n * (n - 1) / 2))


def test_what_is_measured_of_the_future_moves_no_other_measure() -> None:
    seen = {(0, 0): (0.9, 10), (1, 0): (0.6, 10), (1, 1): (0.8, 30)}
    plain = continual.summary(seen)
    assert "generalisability" not in plain
    ahead = continual.summary({**seen, (0, 1): (0.1, 30)})
    assert ahead.pop("generalisability") == 0.1
    assert ahead == plain


def test_stability_says_how_much_is_kept_whatever_was_learnt() -> None:
    """A method that learns half as much and keeps as large a share has half the plasticity, the same stability."""
    cells = {(0, 0): (0.8, 10), (1, 0): (0.4, 10), (1, 1): (0.6, 10)}
    half = {key: (value / 2, n) for key, (value, n) in cells.items()}
    one, other = continual.summary(cells), continual.summary(half)
    assert one["stability"] == pytest.approx(0.5) == pytest.approx(other["stability"])
    assert other["plasticity"] == pytest.approx(one["plasticity"] / 2)
    assert "stability" not in continual.summary({key: (0.0, n) for key, (_, n) in cells.items()}), "nothing to keep"
    assert "stability" not in continual.summary({**cells, (1, 0): (-0.4, 10)}), "no share of a negative value"
