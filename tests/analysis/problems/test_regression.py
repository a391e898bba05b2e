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
    predictions: list[dict[str, Any]] = [
        {"value": np.float32(y + 1), "embedding": g.normal(size=4)} for y in label.tolist()
    ]
    measures = problem.score(predictions, range(40), "test")
    assert measures["mae"] == pytest.approx(1)
    assert measures["many/n"] + measures["medium/n"] + measures.get("few/n", 0) == 40
    assert "projection/ordinality" not in measures
    features = np.stack([p["embedding"] for p in predictions])
    assert measures["ordinality"] == r.ordinality(features, label.double().numpy())
    for p in predictions:
        p["projection"] = g.normal(size=3)
    both = problem.score(predictions, range(40), "test")
    assert {name: both[name] for name in measures} == measures
    projected = np.stack([p["projection"] for p in predictions])
    assert both["projection/ordinality"] == r.ordinality(projected, label.double().numpy())
    assert both["projection/local_linearity"] == r.local_linearity(projected, label.double().numpy())
    assert both["projection/neighbour_mae"] == r.neighbour_mae(projected, label.double().numpy())
    for name, picture in problem.pictures(predictions, range(40), "test"):
        picture(tmp_path / name)
    pictures = ("predictions", "error", "embedding", "ordinality", "projection", "projection_ordinality")
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in pictures)
