"""Accuracies of groups."""

from __future__ import annotations

import numpy as np
from holdfast.analysis.metrics.groups import group_metrics


def test_measures_without_a_row_are_left_out() -> None:
    y = np.array([0, 1, 2, 2])
    found = group_metrics(y, y, np.array([0, 1, 2, 0]))
    assert found["aligned"] == 0.75
    assert found["worst_group"] == 0.5
    assert not {"conflict", "gap", "conflict_group_mean"} & set(found)
    drifted = group_metrics(y, (y + 1) % 3, np.array([0, 1, 2, 0]), (y + 1) % 3)
    assert drifted["aligned"] == 0.75
    assert "conflict" not in drifted
