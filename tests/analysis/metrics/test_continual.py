"""Continual measures."""

from __future__ import annotations

from holdfast.analysis.metrics import continual


def test_one_experience_has_no_forgetting() -> None:
    found = continual.summary({(0, 0): (0.5, 10), (0, 1): (1.0, 30)})
    assert found == {"average": 0.875, "average_rows": 0.75, "last": 0.875, "bwt": 0.0, "forgetting": 0.0}
