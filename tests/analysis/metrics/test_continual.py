"""Continual measures."""

from __future__ import annotations

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
