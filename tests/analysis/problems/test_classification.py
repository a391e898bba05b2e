"""The problem classification: what it needs of the data, what it gives without probabilities, its pictures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.plots import classification as plots
from holdfast.analysis.plots.figure import DOUBLE, DPI, SIDE, new_figure
from holdfast.analysis.problems.classification import Classification
from holdfast.datasets.core.errors import DataError
from PIL import Image


def _problem(label: torch.Tensor, names: tuple[str, ...]) -> Classification:
    part = SimpleNamespace(columns={"label": label})
    return Classification(SimpleNamespace(splits={"test": part}, class_names=names))


def test_labels_alone_give_the_measures_of_labels_and_one_picture() -> None:
    measurement = _problem(torch.tensor([0, 1, 1, 1]), ("a", "b")).measure(
        {"label": np.array([0, 1, 1, 0])}, np.arange(4), "test"
    )
    assert measurement.compute() == {"accuracy": 0.75, "balanced_accuracy": (1 + 2 / 3) / 2, "worst_class": 2 / 3}
    assert [name for name, _ in measurement.pictures()] == ["confusion.png"]


def test_rows_are_looked_up_by_their_ids() -> None:
    problem = _problem(torch.tensor([0, 1, 1, 0]), ("a", "b"))
    assert problem.measure({"label": np.array([0, 1])}, np.array([3, 2]), "test").compute()["accuracy"] == 1
    assert problem.measure({"label": np.array([0, 1])}, np.array([1, 0]), "test").compute()["accuracy"] == 0


def test_data_without_classes_or_labels_are_refused() -> None:
    with pytest.raises(DataError, match="needs classes"):
        _problem(torch.zeros(3), ())
    part = SimpleNamespace(columns={"image": torch.zeros(3)})
    with pytest.raises(ValueError, match="the split 'test' has no column 'label'"):
        Classification(SimpleNamespace(splits={"test": part}, class_names=("a",)))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures and axes that are drawn."""
    kept: list[Any] = []

    def keep(width: float, height: float) -> Any:
        kept.append(new_figure(width, height))
        return kept[-1]

    monkeypatch.setattr(plots, "new_figure", keep)
    return kept


@pytest.mark.parametrize("classes", [2, 10, 150])
def test_pictures_have_a_bounded_size_and_the_names_of_classes(
    classes: int, tmp_path: Path, figures: list[Any]
) -> None:
    g = np.random.default_rng(0)
    names = tuple(f"class {k}" for k in range(classes))
    problem = _problem(torch.arange(300) % classes, names)
    scores = g.normal(size=(300, classes))
    measurement = problem.measure({"label": scores.argmax(1), "scores": scores}, np.arange(300), "test")
    drawn = []
    for name, picture in measurement.pictures():
        picture(tmp_path / name)
        drawn.append(name)
        with Image.open(tmp_path / name) as image:
            assert image.width <= DOUBLE * DPI
            assert image.height <= SIDE * DPI
    assert drawn == ["confusion.png", "reliability.png"]
    (_, axes), (_, reliability) = figures
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown[0] == "class 0"
    assert len(shown) == min(classes, 25)
    ece = measurement.compute()["ece"]
    assert f"{ece:.3f}" in reliability.get_title()


def test_the_cells_are_counts_by_true_and_predicted_class(tmp_path: Path, figures: list[Any]) -> None:
    plots.confusion_matrix(np.array([[3, 1], [0, 0]]), ("cat", "dog"), tmp_path / "c.png")
    axes = figures[0][1]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "3", (1, 0): "1"}
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [None, None]]
