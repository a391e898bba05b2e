"""Pictures have a bounded size whatever they show, and one that fails takes nothing with it."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics.metric import Metric
from holdfast.analysis.plots import classification, comparison, curves, groups, regression, speech, study
from holdfast.analysis.plots.comparison import (
    Row,
    matrix_heatmap,
    metric_by_method,
    metric_over_experiences,
    metric_over_field,
    panel_of,
)
from holdfast.analysis.plots.curves import Curves, thinned, training_curves
from holdfast.analysis.plots.figure import DOUBLE, DPI, DRAFT_DPI, FORMATS, SIDE, SINGLE, STYLE, headed, spared
from holdfast.analysis.plots.groups import group_heatmap, translation_grid
from holdfast.analysis.plots.regression import (
    embedding_by_label,
    error_over_label,
    ordinality,
    prediction_against_truth,
)
from holdfast.analysis.plots.speech import confusion
from matplotlib import rc_context
from matplotlib.image import imread
from matplotlib.text import Text

MANY = 200


def triangle(n: int) -> dict[tuple[int, int], tuple[float, int]]:
    return {(t, j): ((t + j) % 10 / 10, 7) for t in range(n) for j in range(t + 1)}


def labels(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 90, n)


LONG = "a name that does not end " * 40
ERROR = study.Objective(LONG, higher_is_better=False)


def journal(points: int, experiences: int, terms: int) -> Curves:
    """Of a run with so many points of each loss."""
    curves = Curves(losses={f"loss/{k} {LONG}": ([*range(points)], [1.0] * points) for k in range(terms)})
    curves.ends = [points * (k + 1) / experiences for k in range(experiences)]
    curves.test = (curves.ends, [0.5] * experiences)
    return curves


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
    (
        "confusion_matrix",
        lambda p: classification.confusion_matrix(np.eye(1000), [f"{k} {LONG}" for k in range(1000)], p),
    ),
    ("reliability", lambda p: classification.reliability(np.ones(15), np.ones(15), np.ones(15), 0.1, p)),
    ("training_curves", lambda p: training_curves(journal(10**5, MANY, 40), p, name=LONG)),
    (
        "metric_by_method",
        lambda p: metric_by_method(
            [panel_of(Metric(LONG, True), [Row(f"{k} {LONG}", [0.5] * 10, 0.5, 0.1) for k in range(MANY)])] * 20, p
        ),
    ),
    ("history", lambda p: study.history(dict.fromkeys(range(2000), 0.5), ERROR, p)),
    ("importances", lambda p: study.importances({f"{k} {LONG}": 0.1 for k in range(90)}, "fANOVA", p)),
    (
        "slices",
        lambda p: study.slices({f"{k}": [(LONG, 0.5), (k + 1, 0.4)] * 150 for k in range(90)}, {"3"}, ERROR, p),
    ),
    ("front", lambda p: study.front([((k, -k), k < 5) for k in range(2000)], [ERROR, ERROR], p)),
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
    """The width is that of one or two columns of a paper, in both formats; the title names whose picture it is."""
    start = time.process_time()  # another process's load is no fault of the picture's
    with headed("split_digits", "er", "seed 3"), warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "picture.png")
    assert time.process_time() - start < 20
    assert sorted(file.suffix for file in tmp_path.iterdir()) == sorted(FORMATS)
    height, width = imread(tmp_path / "picture.png").shape[:2]
    assert width in (int(SINGLE * DPI), int(DOUBLE * DPI))
    assert 50 < height <= SIDE * DPI


def test_every_plot_is_among_those() -> None:
    kinds = {
        name
        for module in (classification, comparison, curves, groups, regression, speech, study)
        for name, f in vars(module).items()
        if hasattr(f, "__wrapped__") and getattr(f, "__module__", "") == module.__name__
    }
    assert kinds == {name for name, _ in DRAWN}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kept: list[Any] = []
    real = FigureCanvasAgg.print_png

    def keep(self: Any, path: Path, **options: Any) -> None:
        kept.append(self.figure)
        real(self, path, **options)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", keep)
    return kept


@pytest.mark.parametrize("higher", [True, False])
def test_the_good_end_of_the_scale_is_bright_and_at_the_top(higher: bool, tmp_path: Path, figures: list[Any]) -> None:
    with headed("split_digits", "er", "seed 3"):
        matrix_heatmap(triangle(3), "mae: lower is better", tmp_path / "m.png", name="mae", higher_is_better=higher)
    figure = figures[0]
    axes, bar = figure.axes
    assert figure.get_suptitle() == "split_digits, er, seed 3"
    assert axes.get_title() == "mae: lower is better"
    image = axes.images[0]
    low, high = image.get_clim()
    good, bad = (high, low) if higher else (low, high)
    assert sum(image.cmap(image.norm(good))[:3]) > sum(image.cmap(image.norm(bad))[:3]) + 0.5
    assert bar.yaxis_inverted() is not higher
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
    assert sizes == {8.0, 9.0}


def test_the_same_numbers_give_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for day in ("0", "1700000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", day)
        matrix_heatmap(triangle(3), "accuracy", tmp_path / "m.png")
        files.append([(tmp_path / "m").with_suffix(suffix).read_bytes() for suffix in FORMATS])
    assert files[0] == files[1]
    assert b"CreationDate" not in files[0][1]


def test_a_paper_gets_fonts_that_journals_take_and_a_draft_no_pdf(tmp_path: Path) -> None:
    for draft in (False, True):
        with headed("suite", draft=draft):
            matrix_heatmap(triangle(3), "accuracy", tmp_path / f"{draft}.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["False.pdf", "False.png", "True.png"]
    assert b"/Type3" not in (tmp_path / "False.pdf").read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_is_what_savefig_writes(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte: a file is written by its canvas itself, which draws once."""
    from matplotlib.figure import Figure

    made: list[Figure] = []
    init = Figure.__init__

    def kept(self: Figure, **options: Any) -> None:
        made.append(self)
        init(self, **options)

    monkeypatch.setattr(Figure, "__init__", kept)
    with headed("split_digits", "er", draft=True):
        matrix_heatmap(triangle(3), "accuracy", tmp_path / f"m{suffix}")
    other = tmp_path / f"other{suffix}"
    metadata = {".png": {"Software": None}, ".pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
    with rc_context({**STYLE, "pdf.fonttype": 42}):
        made[0].savefig(other, dpi=DRAFT_DPI, metadata=metadata[suffix])
    assert (tmp_path / f"m{suffix}").read_bytes() == other.read_bytes()


def test_the_style_stays_within_the_picture(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    matrix_heatmap(triangle(3), "accuracy", tmp_path / "m.png")
    assert dict(matplotlib.rcParams) == before


def test_curves_are_read_from_the_journal_in_its_order() -> None:
    def point(name: str, value: float | str, step: int, axis: str = "iteration") -> dict[str, Any]:
        return {"name": name, "value": value, "step": step, "axis": axis}

    points = [point("loss/pretrain", 3.0, 2), point("valid/mae/epoch", 5.0, 2), point("cost/seconds_per_step", 1.0, 2)]
    points += [point("loss/pretrain", "nan", 4), point("mae/pooled", 6.0, 0, "experience")]
    points += [point("valid/mae", 7.0, 0, "experience"), point("loss/fit", 1.0, 6)]
    points += [point("mae/pooled", 4.0, 1, "experience"), point("mae/last", 4.0, 1, "experience")]
    curves = Curves.of(points, "mae")
    assert list(curves.losses) == ["loss/pretrain", "loss/fit"]
    assert curves.losses["loss/pretrain"][0] == [2, 4]
    assert np.isnan(curves.losses["loss/pretrain"][1][1])
    measured = [curves.epoch, curves.valid, curves.test]  # the last two at the steps that experiences ended with
    assert measured == [([2], [5.0]), ([4], [7.0]), ([4, 6], [6.0, 4.0])]
    assert curves.ends == [4, 6]


def test_a_long_curve_keeps_its_mean() -> None:
    steps, values = thinned(([*range(10_001)], [*map(float, range(10_001))]), 400)
    assert len(steps) == 400
    assert np.array_equal(steps, values)
    assert np.all(np.diff(steps) > 20)


def test_methods_are_beside_each_other_best_first_with_a_dot_a_seed(tmp_path: Path, figures: list[Any]) -> None:
    rows = [Row("worse", [4.0, 6.0], 5.0, 1.0), Row("better", [1.0, 2.0], 1.5, 0.5), Row("one", [3.0], 3.0)]
    colours = {"worse": "#111111", "better": "#222222", "one": "#333333"}
    panel = panel_of(Metric("mae/last", False, "years"), rows)
    metric_by_method([panel], tmp_path / "c.png", colours=colours)
    (axes,) = figures[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["better", "one", "worse"]
    assert axes.get_title() == "mae/last: lower is better"
    assert axes.get_xlabel() == "mae/last (years)"
    dots = [line for line in axes.lines if line.get_alpha()]
    assert [sorted(line.get_xdata()) for line in dots] == [[1.0, 2.0], [3.0], [4.0, 6.0]]
    assert [line.get_color() for line in dots] == ["#222222", "#333333", "#111111"]
    assert len(axes.collections[0].get_segments()) == 1, "an interval"


MEMORY = """
import resource, sys
from pathlib import Path
from holdfast.analysis.plots.comparison import matrix_heatmap
matrix_heatmap({(0, 0): (1.0, 1)}, "warm", Path(sys.argv[1]))  # the library itself is in memory from here on
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for n in map(int, sys.argv[2:]):
    matrix_heatmap({(t, j): (0.5, 7) for t in range(n) for j in range(t + 1)}, "many", Path(sys.argv[1]))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_the_matrix_of_many_experiences_takes_little_memory(tmp_path: Path) -> None:
    """It was 12 GiB and 75 s at 200; the limit on the address space makes a return to that an error."""
    limit = 3 * 2**30

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "matrix.png"), "50", str(MANY)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=bounded,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert len(done.stdout.split()) == 2
    assert all(float(taken) < 150 for taken in done.stdout.split())


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
    path.with_suffix(".pdf").write_bytes(b"half")
    raise error


def test_a_picture_that_fails_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    warnings_given: list[str] = []
    (tmp_path / "plots").mkdir()
    with spared(tmp_path / "plots" / "matrix.png", warnings_given.append) as path:
        fail(path, MemoryError("no room\nfor this"))
    assert warnings_given == ["no picture plots/matrix.png: MemoryError: no room"]
    assert list(path.parent.iterdir()) == []
    with (
        pytest.warns(UserWarning, match=r"no picture plots/other\.png: ValueError"),
        spared(path.with_name("other.png")),
    ):
        fail(path, ValueError())
    with pytest.raises(KeyboardInterrupt), spared(path, warnings_given.append):
        fail(path, KeyboardInterrupt())


def test_one_evaluation_without_training_is_no_curve() -> None:
    alone = [{"name": "mae/pooled", "value": 1.0, "axis": "experience", "step": 0}]
    assert Curves.of(alone, "mae").kinds == []
    assert Curves.of([*alone, {**alone[0], "step": 1}], "mae").kinds == ["metric"]
    assert Curves.of([{"name": "loss", "value": 1.0, "axis": "iteration", "step": 0}], "mae").kinds == ["loss"]
