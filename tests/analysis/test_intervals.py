"""Split conformal intervals."""

from __future__ import annotations

import numpy as np
import pytest
from holdfast.analysis.intervals import conformal_radius


def test_the_rank_of_the_residual() -> None:
    residuals = [-9.0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert conformal_radius(residuals, 0.9) == 9, "the ninth of nine"
    assert conformal_radius(residuals, 0.5) == 5
    assert conformal_radius(residuals, 0.91) is None
    assert conformal_radius([], 0.5) is None


def test_new_rows_lie_within_it_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        radius = conformal_radius(draws.standard_t(3, 60), 0.8)
        assert radius is not None
        inside.append(np.mean(np.abs(draws.standard_t(3, 200)) <= radius))
    assert np.mean(inside) == pytest.approx(49 / 61, abs=0.01), "k = 49 of 60 rows"


@pytest.mark.parametrize("level", [0, 1, -1, 90])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_radius([1.0], level)
