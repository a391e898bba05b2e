"""Metrics over experiences and over a field of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .figure import CELLS, new_figure, short, ticks


def matrix_heatmap(cells: Mapping[tuple[int, int], tuple[float, int]], title: str, path: Path) -> None:
    """The matrix of the main metric: rows = after experience t, columns = test experience j, cells never measured stay
    empty.

    The picture has the same size from a dozen experiences on; up to :data:`CELLS` cells carry their value and count.
    """
    import numpy as np

    rows, columns = max(t for t, _ in cells) + 1, max(j for _, j in cells) + 1
    values = np.full((rows, columns), np.nan)
    for (t, j), (value, _) in cells.items():
        values[t, j] = value
    figure, axes = new_figure(1.6 + 0.8 * columns, 1.6 + 0.7 * rows)
    top = max(1.0, float(np.nanmax(values)))
    image = axes.imshow(values, vmin=0, vmax=top, cmap="viridis")
    for (t, j), (value, count) in cells.items() if values.size <= CELLS else ():
        axes.text(
            j,
            t,
            f"{value:.2f}\nn={count}",
            ha="center",
            va="center",
            color="black" if value > 0.6 * top else "white",
            fontsize=8,
        )
    axes.set(
        title=short(title),
        xlabel="test experience",
        ylabel="after experience",
        xticks=ticks(columns),
        yticks=ticks(rows),
    )
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=120)


def metric_over_experiences(series: Mapping[str, Sequence[Sequence[float]]], label: str, path: Path) -> None:
    """One line a method: the mean over its seeds after each experience, with the range of the seeds behind it.

    ``series[method]`` holds one list of values a seed; a method with one value (an offline bound) is drawn as a
    dashed level.
    """
    import numpy as np

    figure, axes = new_figure(6.4, 4.2)
    longest = max((len(run) for runs in series.values() for run in runs), default=1)
    for name, runs in series.items():
        values = np.array(runs)
        if values.shape[1] == 1 and longest > 1:
            axes.axhline(values.mean(), linestyle="--", color="grey", label=short(name))
            continue
        steps = np.arange(values.shape[1])
        (line,) = axes.plot(steps, values.mean(0), marker="o", label=short(name))
        if len(runs) > 1:
            axes.fill_between(steps, values.min(0), values.max(0), alpha=0.15, color=line.get_color())
    axes.set(xlabel="after experience", ylabel=label, xticks=ticks(longest))
    axes.set_ylim(0, max(1.02, axes.get_ylim()[1]))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def metric_over_field(
    series: Mapping[str, Sequence[tuple[str, float, float]]], name: str, label: str, path: Path
) -> None:
    """One line a method: (value of the field, mean, half of the interval or NaN), with the interval as a bar.

    Values stand at equal distances, ascending where all are numbers, else in the order given.
    """
    import numpy as np

    words = list(dict.fromkeys(at for points in series.values() for at, _, _ in points))
    with suppress(ValueError):
        words.sort(key=float)
    position = {word: number for number, word in enumerate(words)}  # evenly: 0.95, 0.995 and 1 would lie on each other
    figure, axes = new_figure(7.2, 4.4)
    for number, (method, points) in enumerate(series.items()):
        ordered = sorted(points, key=lambda point: position[point[0]])
        x, y, half = (
            np.array(v, dtype=float)
            for v in ([position[p[0]] for p in ordered], [p[1] for p in ordered], [p[2] for p in ordered])
        )
        style = {
            "linestyle": ("-", "--", ":")[number // 10 % 3],
            "marker": "osD"[number // 10 % 3],
        }  # colours come again after ten
        axes.errorbar(x, y, np.nan_to_num(half), capsize=3, label=short(method), **style)
    shown = ticks(len(words))
    axes.set(xlabel=name, ylabel=label, xticks=shown, xticklabels=[short(words[i]) for i in shown])
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.savefig(path, dpi=120)
