"""Colours that change their meaning."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.datasets.cdvg import drift as cdvg_drift


def test_drift_contradicts_the_experience_before() -> None:
    source = cdvg_drift.load(cdvg_drift.Config(n_train=200, experiences=3, shift=2), None)
    columns: Any = source.splits["train"].columns
    for k in range(3):
        rows = columns["experience"] == k
        assert torch.equal(columns["bias"][rows], (columns["label"][rows] + 2 * k) % 10)
    assert torch.equal(columns["bias"], columns["usual"])
    test: Any = source.splits["test"].columns
    assert float((test["bias"] == test["usual"]).double().mean()) < 0.2
