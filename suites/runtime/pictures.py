"""The pictures of runs and invocations: which there are, under which heading, in which colours."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import measures, run_files
from ..config.recipe import Recipe
from ..tracking.journal import read
from . import folders
from .identity import colour_of, finals_of

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric
    from .console import Console
    from .plan import Invocation
    from .run import Run

TRAINING = "training.png"
COMPARED = 3  # final values in the comparison of an invocation


def heading(recipe: Recipe, source: str, method: str = "", seed: int | None = None) -> AbstractContextManager[None]:
    """What is drawn inside bears the suite, its method and seed, the profile, and whether the data are a stand-in."""
    from ...analysis.plots.figure import headed

    seeded = "" if seed is None else f"seed {seed}"
    data = "stand-in data" if source != "real" else ""
    return headed(recipe.name, method, seeded, str(recipe.profile or ""), data, draft=recipe.profile == "smoke")


def of_run(run: Run) -> None:
    """Curves, the matrix where there are several experiences, and what the problem draws of the last evaluation. A
    picture that fails is a warning.
    """
    from ...analysis.plots import comparison, curves
    from ...analysis.plots.figure import spared

    folder, main, evaluation = run.pictures, run.metrics.main, run.evaluation
    facts = {"name": main.name, "unit": main.unit}
    with heading(run.recipe, run.streams.source.source, run.name, run.seed):
        with spared(folder / TRAINING, run.warn) as path:
            drawn = curves.Curves.of(read(run.folder / "journal.jsonl"), main.name)
            if drawn.kinds:  # a method in closed form has none
                curves.training_curves(drawn, path, words=main.words, **facts)
        if len(run.matrix.cells) > 1:
            with spared(folder / "matrix.png", run.warn) as path:
                better: dict[str, Any] = {**facts, "higher_is_better": main.higher_is_better}
                comparison.matrix_heatmap(run.matrix.cells, f"{main.name}: {main.words}", path, **better)
        with spared(folder, run.warn):
            last = evaluation.last  # None: resumed after the last evaluation
            if last is None:
                evaluation.fit(len(run.stream) - 1)
                last = evaluation.measure("test", range(len(evaluation.scenario.streams["test"])))
            course = run.problem.course([run.matrix.pooled[t] for t in range(run.matrix.rows)])
            for name, picture in (*last.pictures(), *course):
                with spared(folder / name, run.warn) as path:
                    picture(path)


def of_invocation(invocation: Invocation, console: Console) -> None:
    """Of all runs together, once all are finished: the main metric over experiences where there are several, final
    values of each seed beside each other; of a single run its curves.
    """
    from ...analysis.plots import comparison
    from ...analysis.plots.figure import measure, spared

    def warn(text: str) -> None:
        console.warning(f"{invocation.folder.name}: {text}")

    recipe, entries = invocation.recipe, invocation.plan["runs"]
    runs = [invocation.run_folder(entry) for entry in entries]
    if any(folders.status(run) != "finished" for run in runs):
        return
    main = measures.metrics(recipe.problem).main
    colours = {entry["method"]: colour_of(recipe, entry["method"]) for entry in entries}
    series: dict[str, list[list[float]]] = {}
    for entry, run in zip(entries, runs, strict=True):
        points = [float(p["value"]) for p in read(run / "journal.jsonl") if p["name"] == f"{main.name}/pooled"]
        series.setdefault(entry["method"], []).append(points)
    plots: Path = invocation.folder / "plots"
    plots.mkdir(exist_ok=True)
    alone = next(iter(series)) if len(series) == 1 else ""
    seed = int(entries[0]["seed"]) if len(runs) == 1 else None
    with heading(recipe, str(invocation.plan["data"]["source"]), alone, seed):
        if max(len(points) for each in series.values() for points in each) > 1:
            label, title = (
                measure(main.name, "", main.unit),
                f"{main.name} on all experiences seen so far ({main.words})",
            )
            with spared(plots / f"{main.name}.png", warn) as path:
                share = main.unit == "share"
                comparison.metric_over_experiences(series, label, path, title=title, share=share, colours=colours)
        if len(runs) > 1:
            with spared(plots / "comparison.png", warn) as path:
                comparison.metric_by_method(_finals(invocation, runs), path, colours=colours)
    if len(runs) == 1:
        for file in sorted((runs[0] / "plots").glob(f"{Path(TRAINING).stem}.*")):
            with spared(plots / file.name, warn) as path:
                shutil.copyfile(file, path)


def _finals(invocation: Invocation, runs: Sequence[Path]) -> list[Any]:
    """A panel for each of the first final values of the screen's table that the runs have, best method first."""
    recipe, entries = invocation.recipe, invocation.plan["runs"]
    known = measures.of_recipe(recipe)
    summaries = [run_files.read(run / "summary.json", run_files.Summary) for run in runs]
    names = [name for name in finals_of(recipe) if any(name in one for one in summaries)]
    panels = []
    for name in names[:COMPARED]:
        values: dict[str, list[float]] = {}
        for entry, one in zip(entries, summaries, strict=True):
            if math.isfinite(one.get(name, math.nan)):
                values.setdefault(entry["method"], []).append(one[name])
        if values:
            panels.append(panel(known[name], values))
    return panels


def panel(metric: Metric, values: dict[str, list[float]]) -> Any:
    """The final values of a metric by method, each seed's, in a picture's words."""
    from ...analysis.plots.comparison import Row, panel_of
    from ...analysis.statistics import estimate

    rows = []
    for method, each in values.items():
        one = estimate(each)
        rows.append(Row(method, each, one.mean, one.half))
    return panel_of(metric, rows)
