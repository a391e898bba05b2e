"""The trials of a sweep: their values in order, by parameter, how much each parameter explains, and the front of
several objectives."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figure import DOUBLE, SINGLE, TICK, new_figure, panels, save, short, styled, titled
from .palette import COLOURS

PARAMETERS = 12  # panels of slices, bars of importances


@dataclass(frozen=True)
class Objective:
    """What trials are judged by; ``label`` says name and unit."""

    label: str
    higher_is_better: bool

    @property
    def words(self) -> str:
        return "higher is better" if self.higher_is_better else "lower is better"


@styled
def history(values: Mapping[int, float], objective: Objective, path: Path) -> None:
    """The value of each trial by its number, and the best so far."""
    import numpy as np

    numbers = sorted(values)
    each = np.array([values[number] for number in numbers])
    best = (np.maximum if objective.higher_is_better else np.minimum).accumulate(each)
    figure, axes = new_figure(SINGLE, 2.5)
    axes.step(numbers, best, where="post", color=COLOURS[1], label="best so far")
    axes.plot(numbers, each, "o", color=COLOURS[0], markersize=3, label="trial")
    axes.set(xlabel="trial", ylabel=objective.label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2)
    titled(axes, f"{len(numbers)} trials: {objective.words}")
    save(figure, path)


@styled
def importances(shares: Mapping[str, float], evaluator: str, path: Path) -> None:
    """A bar a parameter, the largest first: its share of the objective's variance over the trials."""
    names = sorted(shares, key=lambda name: -shares[name])[:PARAMETERS]
    figure, axes = new_figure(SINGLE, 0.95 + 0.22 * len(names))
    bars = axes.barh(range(len(names)), [shares[name] for name in names], color=COLOURS[0], height=0.6)
    axes.bar_label(bars, [f"{shares[name]:.2f}" for name in names], padding=2)
    axes.set(xlabel="share of the variance explained", xlim=(0, 1.12), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), [_tail(name) for name in names])
    titled(axes, f"Importances by {evaluator}")
    save(figure, path)


def _tail(path: str) -> str:
    """The end of a field's path, which says most."""
    return path if len(path) <= TICK + 6 else f"…{path[-TICK - 5 :]}"


@styled
def slices(
    values: Mapping[str, Sequence[tuple[Any, float]]], logarithmic: Collection[str], objective: Objective, path: Path
) -> None:
    """A panel a parameter: each trial's value over what it had, (parameter, value); later trials are darker. Of many
    the first :data:`PARAMETERS`.
    """
    names = list(values)[:PARAMETERS]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = panels(SINGLE if columns == 1 else DOUBLE, 0.6 + 1.9 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    for number, (name, axes) in enumerate(zip(names, grid.flat, strict=False)):
        points = values[name]
        places: list[Any] = [at for at, _ in points]
        if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in places):
            known = sorted({str(at) for at in places})
            places = [known.index(str(at)) for at in places]
            long = sum(min(TICK, len(text)) + 1 for text in known) > 28
            axes.set_xticks(range(len(known)), [short(text, TICK) for text in known], rotation=90 if long else 0)
            axes.set_xlim(-0.5, len(known) - 0.5)
        elif name in logarithmic:
            _logarithmic(axes, places)
        shades = [0.25 + 0.75 * k / max(1, len(points) - 1) for k in range(len(points))]
        axes.scatter(places, [value for _, value in points], s=10, c=shades, cmap="Blues", vmin=0, vmax=1)
        axes.set_xlabel(_tail(name))
        axes.grid(axis="y")
        if number % columns == 0:
            axes.set_ylabel(objective.label)
    words = f"later trials are darker; {objective.words}"
    titled(grid[0, 0], words) if columns == 1 else figure.supxlabel(words, fontsize=8)
    save(figure, path)


def _logarithmic(axes: Any, places: Sequence[float]) -> None:
    """A logarithmic axis with three numbers below it: marks of its own would run into each other."""
    import numpy as np

    axes.set_xscale("log")
    axes.minorticks_off()
    low, high = min(places), max(places)
    marks = np.geomspace(low, high, 3) if high > low else [low]
    axes.set_xticks(marks, [f"{mark:.2g}" for mark in marks])


@styled
def front(points: Sequence[tuple[Sequence[float], bool]], objectives: Sequence[Objective], path: Path) -> None:
    """A panel a pair of objectives: (values, whether no other trial is better in all) of each trial."""
    pairs = list(itertools.combinations(range(len(objectives)), 2))[:3]
    figure = panels(SINGLE if len(pairs) == 1 else DOUBLE, 2.9)
    grid = figure.subplots(1, len(pairs), squeeze=False)[0]
    for (a, b), axes in zip(pairs, grid, strict=True):
        for best, words, tint in ((False, "trial", "#AAAAAA"), (True, "not dominated", COLOURS[1])):
            shown = [values for values, of_front in points if of_front is best]
            axes.plot([v[a] for v in shown], [v[b] for v in shown], "o", color=tint, markersize=4, label=words)
        axes.set(
            xlabel=f"{objectives[a].label}\n{objectives[a].words}",
            ylabel=f"{objectives[b].label}\n{objectives[b].words}",
        )
        axes.grid()
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    titled(grid[0], f"front of {len(points)} trials")
    save(figure, path)
