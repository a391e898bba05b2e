"""Several tasks: what a budget costs each of them, what a preference brings, and which losses are reached together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from ...datasets.core.multi_task import Task
from .figure import TICK, grid, legend, measure, save, short, styled, titled
from .palette import MARKERS, colour

PANELS = 6  # of a picture, at most
PAIRS = 6  # pairs of tasks in the picture of losses
WIDTHS = 8  # lines of a panel
GREY = "#BBBBBB"
Pair = tuple[float, float]  # widths of encoder and decoder


@styled
def budget_curves(
    table: Mapping[Pair, Mapping[str, float]],
    macs: Mapping[Pair, float | None],
    tasks: Sequence[Task],
    path: Path,
) -> None:
    """A panel a task: its main metric over the encoder's width, a line for each width of its decoder. Where all of
    ``macs`` are known it is drawn over multiply-adds.
    """
    known = [task for task in tasks if any(task.name in row for row in table.values())][:PANELS]
    by_cost = all(macs.get(pair) is not None for pair in table)
    figure, axes = grid(len(known))
    decoders = sorted({d for _, d in table})[-WIDTHS:]
    for one, task in zip(axes, known, strict=False):
        for k, decoder in enumerate(decoders):
            pairs = sorted(pair for pair in table if pair[1] == decoder and task.name in table[pair])
            x = [(macs[pair] or 0.0) / 1e6 if by_cost else pair[0] for pair in pairs]
            y = [table[pair][task.name] for pair in pairs]
            style = {"marker": MARKERS[k % len(MARKERS)], "color": colour(k)}
            one.plot(x, y, label=f"decoder width {decoder:g}", **style)
        one.set(xlabel="10⁶ multiply-adds" if by_cost else "width of the encoder")
        words = "higher is better" if task.higher_is_better else "lower is better"
        one.set_ylabel(measure(task.metric, words))
        one.grid(True)
        titled(one, short(task.name))
    legend(figure, axes[0])
    save(figure, path)


@styled
def pareto_front(losses: Any, names: Sequence[str], path: Path) -> None:
    """A panel a pair of tasks (the first six pairs): their losses under each preference, ``losses`` [n, N]; those
    that no other one beats in both are joined.
    """
    import numpy as np

    pairs = list(combinations(range(len(names)), 2))[:PAIRS]
    figure, axes = grid(len(pairs))
    points = np.asarray(losses, np.float64)
    for one, (i, j) in zip(axes, pairs, strict=True):
        two = points[:, [i, j]]
        best = front(two)
        one.scatter(*two.T, s=12, color=GREY, label="a preference")
        one.plot(*two[best].T, marker="o", color=colour(0), label="no other is better in both")
        one.set(xlabel=f"loss of {short(names[i], TICK)}", ylabel=f"loss of {short(names[j], TICK)}")
        one.grid(True)
        one.margins(0.1)
    legend(figure, axes[0])
    save(figure, path)


def front(points: Any) -> list[int]:
    """Rows of ``points`` [n, 2] that no other row dominates (smaller is better), by their first value."""
    import numpy as np

    order = np.lexsort((points[:, 1], points[:, 0]))
    kept, lowest = [], np.inf
    for row in order.tolist():
        if points[row, 1] < lowest:
            kept.append(row)
            lowest = points[row, 1]
    return kept


@styled
def preference_response(losses: Any, preferences: Any, names: Sequence[str], path: Path) -> None:
    """A panel a task: its loss under each preference, ``losses`` and ``preferences`` [n, N]. Of three tasks the points
    lie on the simplex and the colour is the loss; else the loss is drawn over the task's own preference.
    """
    import numpy as np

    loss, r = (np.asarray(values, np.float64) for values in (losses, preferences))
    count = min(len(names), PANELS)
    figure, axes = grid(count)
    for k, one in zip(range(count), axes, strict=True):
        if len(names) == 3:
            _triangle(figure, one, r, loss[:, k], names, k)
        else:
            one.scatter(r[:, k], loss[:, k], s=14, color=colour(k))
            one.set(xlabel=f"preference for {short(names[k], TICK)}", ylabel="its loss, lower is better")
            one.set_xlim(-0.03, 1.03)
            one.grid(True)
        titled(one, short(names[k]))
    save(figure, path)


def _triangle(figure: Any, axes: Any, r: Any, loss: Any, names: Sequence[str], task: int) -> None:
    """Points of the simplex of three tasks, each corner being all preference for one."""
    import numpy as np

    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    axes.plot(*corners[[0, 1, 2, 0]].T, color=GREY, linewidth=0.8)
    image = axes.scatter(*(r @ corners).T, c=loss, cmap="viridis_r", s=24, linewidths=0)
    for k, (x, y) in enumerate(corners):
        side = {"ha": "center", "va": "bottom" if k == 2 else "top"}
        weight = "bold" if k == task else "normal"
        axes.text(x, y + (0.03 if k == 2 else -0.03), short(names[k], 10), fontweight=weight, **side)
    axes.set(xlim=(-0.2, 1.2), ylim=(-0.15, 1.05), aspect="equal")
    axes.axis("off")
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.8, aspect=25, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("loss, lower is better")
    bar.ax.locator_params(nbins=4)
