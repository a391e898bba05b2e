"""Pictures have a bounded size whatever they show, and one that fails takes nothing with it."""

from __future__ import annotations

import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from holdfast.analysis.plots import comparison, groups, regression, speech
from holdfast.analysis.plots.comparison import matrix_heatmap, metric_over_experiences, metric_over_field
from holdfast.analysis.plots.figure import SIDE, spared
from holdfast.analysis.plots.groups import group_heatmap, translation_grid
from holdfast.analysis.plots.regression import (
    embedding_by_label,
    error_over_label,
    ordinality,
    prediction_against_truth,
)
from holdfast.analysis.plots.speech import confusion
from matplotlib.image import imread

MANY = 200


MOST = int(SIDE * 120)  # pixels a side


def triangle(n: int) -> dict[tuple[int, int], tuple[float, int]]:
    return {(t, j): ((t + j) % 10 / 10, 7) for t in range(n) for j in range(t + 1)}


def labels(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 90, n)


LONG = "a name that does not end " * 400


DRAWN: list[tuple[str, Callable[[Path], None]]] = [
    ("matrix_heatmap", lambda p: matrix_heatmap(triangle(MANY), LONG, p)),
    (
        "metric_over_experiences",
        lambda p: metric_over_experiences({LONG: [[0.5] * 2000], "er": [[0.4] * 2000]}, "accuracy", p),
    ),
    (
        "metric_over_field",
        lambda p: metric_over_field({LONG: [(f"{i} {LONG}", 0.5, 0.1) for i in range(500)]}, "field", "accuracy", p),
    ),
    (
        "confusion",
        lambda p: confusion({(f"{i} {LONG}", f"{i} {LONG}"): 2 for i in range(900)}, p),
    ),
    ("prediction_against_truth", lambda p: prediction_against_truth(labels(10**6), labels(10**6), "age", p)),
    ("error_over_label", lambda p: error_over_label(labels(10**6), labels(10**6), labels(10**6), "age", p)),
    (
        "embedding_by_label",
        lambda p: embedding_by_label(
            np.random.default_rng(1).normal(size=(10**5, 8)), labels(10**5), "age", p, "features"
        ),
    ),
    ("ordinality", lambda p: ordinality(labels(10**6), labels(10**6), "age", p, "features")),
    ("group_heatmap", lambda p: group_heatmap(np.full((900, 900), 0.5), p)),
    ("translation_grid", lambda p: translation_grid(torch.zeros(40, 300, 3, 64, 64), p)),
]


@pytest.mark.parametrize(("name", "draw"), DRAWN, ids=[name for name, _ in DRAWN])
def test_a_picture_is_bounded_whatever_it_shows(name: str, draw: Callable[[Path], None], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of matplotlib, about room for names
        draw(tmp_path / "picture.png")
    height, width = imread(tmp_path / "picture.png").shape[:2]
    assert max(height, width) <= MOST
    assert min(height, width) > 50


def test_every_plot_is_among_those() -> None:
    kinds = {
        name
        for module in (comparison, groups, regression, speech)
        for name, f in vars(module).items()
        if callable(f) and getattr(f, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert kinds == {name for name, _ in DRAWN}


MEMORY = """
import resource, sys
from pathlib import Path
from holdfast.analysis.plots.comparison import matrix_heatmap
cells = {(t, j): (0.5, 7) for t in range(int(sys.argv[1])) for j in range(t + 1)}
matrix_heatmap({(0, 0): (1.0, 1)}, "warm", Path(sys.argv[2]))  # the library itself is in memory from here on
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
matrix_heatmap(cells, "many", Path(sys.argv[2]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("n", [50, MANY])
def test_the_matrix_of_many_experiences_takes_little_memory(n: int, tmp_path: Path) -> None:
    """It was 12 GiB and 75 s at 200; the limit on the address space makes a return to that an error."""
    limit = 3 * 2**30

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(n), str(tmp_path / "matrix.png")],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=bounded,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert float(done.stdout) < 150


def test_few_experiences_still_show_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    shown: list[str] = []
    monkeypatch.setattr(Axes, "text", lambda self, x, y, text, **rest: shown.append(text))
    matrix_heatmap(triangle(4), "few", tmp_path / "few.png")
    assert len(shown) == 10
    shown.clear()
    matrix_heatmap(triangle(MANY), "many", tmp_path / "many.png")
    assert not shown


def fail(path: Path, error: BaseException) -> None:
    """A plot that dies in the middle of writing."""
    path.write_bytes(b"half")
    raise error


def test_a_picture_that_fails_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    warnings_given: list[str] = []
    (tmp_path / "plots").mkdir()
    with spared(tmp_path / "plots" / "matrix.png", warnings_given.append) as path:
        fail(path, MemoryError("no room\nfor this"))
    assert warnings_given == ["no picture plots/matrix.png: MemoryError: no room"]
    assert not path.exists()
    with (
        pytest.warns(UserWarning, match=r"no picture plots/other\.png: ValueError"),
        spared(path.with_name("other.png")),
    ):
        fail(path, ValueError())
    with pytest.raises(KeyboardInterrupt), spared(path, warnings_given.append):
        fail(path, KeyboardInterrupt())
