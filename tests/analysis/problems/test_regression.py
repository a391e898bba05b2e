"""The problem of regression: what it scores and draws."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics import regression as r
from holdfast.analysis.problems.regression import Regression
from holdfast.datasets.core.source import RegressionInfo, ShotBins
from holdfast.datasets.core.table import Table


def test_the_problem_scores_and_draws(tmp_path: Path) -> None:
    label = torch.arange(40, dtype=torch.float32) % 13
    table = Table({"label": label, "x": torch.zeros(40, 2)})
    info = RegressionInfo(modality="table", shots=ShotBins(many_above=3, few_below=3))
    data = SimpleNamespace(splits={"train": table, "test": table}, info=info)
    problem = Regression(data)
    g = np.random.default_rng(0)
    features = g.normal(size=(40, 4))
    outputs: dict[str, Any] = {"value": (label + 1).numpy(), "embedding": features}
    measures = problem.measure(outputs, np.arange(40), "test").compute()
    assert measures["mae"] == pytest.approx(1)
    assert measures["many/n"] + measures["medium/n"] + measures.get("few/n", 0) == 40
    assert "projection/ordinality" not in measures
    assert measures["ordinality"] == r.ordinality(features, label.double().numpy())
    projected = g.normal(size=(40, 3))
    measurement = problem.measure(outputs | {"projection": projected}, np.arange(40), "test")
    both = measurement.compute()
    assert {name: both[name] for name in measures} == measures
    assert both["projection/ordinality"] == r.ordinality(projected, label.double().numpy())
    assert both["projection/local_linearity"] == r.local_linearity(projected, label.double().numpy())
    assert both["projection/neighbour_mae"] == r.neighbour_mae(projected, label.double().numpy())
    for name, picture in measurement.pictures():
        picture(tmp_path / name)
    pictures = ("predictions", "error", "embedding", "ordinality", "projection", "projection_ordinality")
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in pictures)
