"""A method's loss against each strength of a grid, and what two strengths do together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..attribution import Point, level
from ..statistics import estimate
from .figure import DOUBLE, legend, panels, save, short, styled, titled
from .palette import colour, shapes

ACROSS = 3  # panels in a row
METHODS = 6  # of which the interaction is drawn
SHADES = ("#9ECAE1", "#4292C6", "#08306B", "#FDAE6B", "#D94801")

Grid = Mapping[str, Sequence[Point]]  # the points of each method


@styled
def strengths(grid: Grid, names: Sequence[str], label: str, path: Path, *, colours: Mapping[str, str]) -> None:
    """Above, a panel a strength: the loss of each method, averaged over the other strengths. Below, a panel a method:
    its loss over the first strength of a pair, a line for each value of the second; lines that are not parallel are an
    interaction. Means with 95 % intervals over seeds. Of many methods the first :data:`METHODS`.
    """
    pairs = list(itertools.combinations(range(len(names)), 2))
    below = [(pair, method) for pair in pairs for method in list(grid)[:METHODS]]
    across = min(ACROSS, max(len(names), min(len(below), ACROSS)))
    first, more = -(-len(names) // across), -(-len(below) // across)
    figure = panels(DOUBLE, 0.9 + 2.0 * first + 1.7 * more)
    axes = figure.subplots(first + more, across, squeeze=False, sharey=True)
    for unused in (*list(axes[:first].flat)[len(names) :], *list(axes[first:].flat)[len(below) :]):
        unused.remove()
    tints = [colours.get(method) or colour(k) for k, method in enumerate(grid)]
    for k, panel in zip(range(len(names)), axes[:first].flat, strict=False):
        for number, ((method, points), tint, form) in enumerate(zip(grid.items(), tints, shapes(tints), strict=True)):
            _line(panel, points, k, {}, (number - (len(grid) - 1) / 2) * 0.05, tint, form, short(method))
        panel.set_xlabel(names[k])
        titled(panel, f"{names[k]}, over the others" if len(names) > 1 else names[k])
    for ((a, b), method), panel in zip(below, axes[first:].flat, strict=False):
        values = sorted({point.strengths[b] for point in grid[method]})
        drawn = [SHADES[k % len(SHADES)] for k in range(len(values))]
        for number, (value, tint, form) in enumerate(zip(values, drawn, shapes(drawn), strict=True)):
            aside = (number - (len(values) - 1) / 2) * 0.05
            _line(panel, grid[method], a, {b: value}, aside, tint, form, f"{names[b]} {value:g}")
        panel.set_xlabel(names[a])
        panel.legend(fontsize=7)
        titled(panel, short(method))
    for row in axes:
        row[0].set_ylabel(label)
    legend(figure, axes[0, 0])
    save(figure, path)


def _line(
    axes: Any,
    points: Sequence[Point],
    k: int,
    fixed: Mapping[int, float],
    aside: float,
    tint: str,
    form: tuple[str, str],
    name: str,
) -> None:
    """Mean and interval at each value of strength ``k``, the values at equal distances, where a seed has them all."""
    import numpy as np

    values = sorted({point.strengths[k] for point in points})
    found = [(place, list(level(points, {**fixed, k: value}).values())) for place, value in enumerate(values)]
    shown = [(place, estimate(each)) for place, each in found if each]
    axes.errorbar(
        [place + aside for place, _ in shown],
        [one.mean for _, one in shown],
        np.nan_to_num([one.half for _, one in shown]),
        capsize=2,
        color=tint,
        marker=form[0],
        linestyle=form[1],
        elinewidth=0.8,
        label=name,
    )
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.grid(axis="y")
