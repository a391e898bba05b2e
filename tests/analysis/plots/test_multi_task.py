"""Pictures of several tasks: bounded whatever they show, and drawn from the numbers that they are given."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from holdfast.analysis.plots import multi_task, sequence
from holdfast.analysis.plots.figure import DOUBLE, DRAFT_DPI, SIDE, SINGLE, headed
from holdfast.datasets.core.multi_task import Task
from matplotlib.image import imread

LONG = "a name that does not end " * 40
MANY = [Task(f"{k} {LONG}", "depth") for k in range(20)]
GRID = {(e / 20, d / 20): {task.name: e + d for task in MANY} for e in range(1, 21) for d in range(1, 21)}
LINES = {task.name: {pair: [0.5, 0.4, 0.3] for pair in GRID} for task in MANY}
LOST = {task.name: {pair: sum(pair) - 1 for pair in GRID} for task in MANY}
R = np.random.default_rng(0).dirichlet(np.ones(20), 200)
DRAWN: list[tuple[str, Callable[[Path], None]]] = [
    ("budget", lambda p: multi_task.budget_curves(GRID, dict.fromkeys(GRID, 1e9), MANY, p)),
    ("pareto", lambda p: multi_task.pareto_front(1 - R, [task.name for task in MANY], p)),
    ("preferences", lambda p: multi_task.preference_response(1 - R, R, [task.name for task in MANY], p)),
    ("simplex", lambda p: multi_task.preference_response(1 - R[:, :3], R[:, :3], [LONG, "b", "c"], p)),
    ("courses", lambda p: sequence.courses(LINES, MANY, 3, p)),
    ("forgetting", lambda p: sequence.forgetting_by_width(LOST, MANY, p)),
    ("two", lambda p: multi_task.preference_response(1 - R[:, :2], R[:, :2], ["a", "b"], p)),
]


@pytest.mark.parametrize(("name", "draw"), DRAWN, ids=[name for name, _ in DRAWN])
def test_a_picture_is_bounded_whatever_it_shows(name: str, draw: Callable[[Path], None], tmp_path: Path) -> None:
    with headed("slimmable_scenes", "ecmt", "seed 3", draft=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "picture.png")
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]
    height, width = imread(tmp_path / "picture.png").shape[:2]
    assert width in (int(SINGLE * DRAFT_DPI), int(DOUBLE * DRAFT_DPI))
    assert height <= SIDE * DRAFT_DPI


def test_the_front_has_what_nothing_beats() -> None:
    points = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [2.0, 2.5], [3.0, 3.0], [1.0, 3.0]])
    assert [points[k].tolist() for k in multi_task.front(points)] == [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]
    assert multi_task.front(np.zeros((0, 2))) == []


def test_the_budget_is_drawn_in_multiply_adds_where_all_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, list[float]]] = []

    def keep(figure: object, path: Path) -> None:
        axes = figure.axes[0]  # type: ignore[attr-defined]
        drawn.append((axes.get_xlabel(), axes.lines[0].get_xdata().tolist()))

    monkeypatch.setattr(multi_task, "save", keep)
    table = {(0.5, 1.0): {"seg": 0.4}, (1.0, 1.0): {"seg": 0.5}}
    tasks = [Task("seg", "segmentation", 4)]
    multi_task.budget_curves(table, {(0.5, 1.0): 2e6, (1.0, 1.0): 5e6}, tasks, tmp_path / "a.png")
    multi_task.budget_curves(table, {(0.5, 1.0): None, (1.0, 1.0): 5e6}, tasks, tmp_path / "a.png")
    assert drawn[0] == ("10⁶ multiply-adds", [2.0, 5.0])
    assert drawn[1] == ("width of the encoder", [0.5, 1.0])


def test_a_task_is_drawn_from_its_own_experience_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[tuple[str, list[float], list[float]]]] = []

    def keep(figure: object, path: Path) -> None:
        for axes in figure.axes:  # type: ignore[attr-defined]
            drawn.append([(str(x.get_label()), list(x.get_xdata()), list(x.get_ydata())) for x in axes.lines])

    monkeypatch.setattr(sequence, "save", keep)
    tasks = [Task("seg", "segmentation", 4), Task("depth", "depth")]
    lines = {"seg": {(0.5, 0.5): [9.0, 9.0], (0.5, 1.0): [0.4, 0.3]}, "depth": {(0.5, 1.0): [0.2]}}
    sequence.courses(lines, tasks, 2, tmp_path / "a.png")
    label = "encoder width 0.5"
    assert drawn == [[(label, [0, 1], [0.4, 0.3])], [(label, [1], [0.2])]]  # beside the widest decoder
