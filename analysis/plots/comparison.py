"""Metrics over experiences, over methods and over a field of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figure import (
    CELLS,
    DOUBLE,
    SINGLE,
    TICK,
    colour_bar,
    ink,
    legend,
    measure,
    new_figure,
    panels,
    quality,
    save,
    short,
    styled,
    ticks,
    titled,
)
from .palette import colour, shapes

if TYPE_CHECKING:
    from ..metrics.metric import Metric

Colours = Mapping[str, str]
PANELS = 6  # comparisons in one picture


def _coloured(names: Sequence[str], colours: Colours | None) -> list[tuple[str, str, str]]:
    """(colour, marker, line style) of each name; without ``colours`` those of the palette in order."""
    given = [(colours or {}).get(name) or colour(number) for number, name in enumerate(names)]
    return [(one, *shape) for one, shape in zip(given, shapes(given), strict=True)]


@styled
def matrix_heatmap(
    cells: Mapping[tuple[int, int], tuple[float, int]],
    title: str,
    path: Path,
    *,
    name: str = "",
    unit: str = "",
    higher_is_better: bool | None = True,
) -> None:
    """The matrix of the main metric: rows = after experience t, columns = test experience j; cells never measured stay
    empty, and the bright end of the scale is the good one.

    Up to :data:`CELLS` cells carry their value, and columns of so few their number of rows.
    """
    import numpy as np

    rows, columns = max(t for t, _ in cells) + 1, max(j for _, j in cells) + 1
    values = np.full((rows, columns), np.nan)
    counts: dict[int, int] = {}
    for (t, j), (value, count) in cells.items():
        values[t, j], counts[j] = value, count
    few = values.size <= CELLS
    width = SINGLE if columns <= 7 else DOUBLE
    figure, axes = new_figure(width, max(2.4, min(1.4 + 0.32 * rows, 0.85 * width)))
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    top = 1.0 if unit == "share" or top <= 0 else top
    image = axes.imshow(values, vmin=0, vmax=top, cmap=quality(higher_is_better), aspect="auto")
    for (t, j), (value, _) in cells.items() if few else ():
        axes.text(
            j, t, f"{value:.3g}" if top > 1 else f"{value:.2f}", ha="center", va="center", color=ink(image, value)
        )
    shown = ticks(columns)
    size = f"\nn={counts[0]}" if few and len(set(counts.values())) == 1 else ""
    labels = [f"{j}\nn={counts[j]}" if few and not size and j in counts else str(j) for j in shown]
    axes.set(
        xlabel="test experience" + (f" ({size.strip()} each)" if size else ""),
        ylabel="after experience",
        xticks=shown,
        yticks=ticks(rows),
    )
    axes.set_xticklabels(labels)
    titled(axes, title)
    colour_bar(figure, image, axes, measure(name, "", unit), higher_is_better)
    save(figure, path)


@styled
def metric_over_experiences(
    series: Mapping[str, Sequence[Sequence[float]]],
    label: str,
    path: Path,
    *,
    title: str = "",
    share: bool = True,
    colours: Colours | None = None,
) -> None:
    """One line a method: the mean over its seeds after each experience, with the range of the seeds behind it.

    ``series[method]`` holds one list of values a seed; a method with one value (an offline bound) is drawn as a
    dashed level. ``share``: the axis goes from 0 to 1.
    """
    import numpy as np

    figure, axes = new_figure(SINGLE if len(series) <= 6 else DOUBLE, 2.6 + 0.1 * min(len(series), 12))
    longest = max((len(run) for runs in series.values() for run in runs), default=1)
    seeds = max(len(runs) for runs in series.values())
    drawn = zip(series.items(), _coloured(list(series), colours), strict=True)
    for (name, runs), (tint, marker, line) in drawn:
        values = np.array(runs)
        if values.shape[1] == 1 and longest > 1:
            axes.axhline(values.mean(), linestyle="--", color=tint, label=f"{short(name)} (all at once)")
            continue
        steps = np.arange(values.shape[1])
        axes.plot(
            steps,
            values.mean(0),
            marker=marker if longest <= 40 else "",
            linestyle=line,
            color=tint,
            label=short(name),
        )
        if len(runs) > 1:
            axes.fill_between(steps, values.min(0), values.max(0), alpha=0.15, color=tint, linewidth=0)
    axes.set(xlabel="after experience", ylabel=label, xticks=ticks(longest, 15))
    if share:
        axes.set_ylim(0, 1.02)
    else:
        axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    if title:
        titled(axes, title + (f"; mean and range of {seeds} seeds" if seeds > 1 else ""))
    legend(figure, axes)
    save(figure, path)


@styled
def metric_over_field(
    series: Mapping[str, Sequence[tuple[str, float, float]]],
    name: str,
    label: str,
    path: Path,
    *,
    title: str = "",
    colours: Colours | None = None,
) -> None:
    """One line a method: (value of the field, mean, half of the interval or NaN), with the interval as a bar.

    Values stand at equal distances, ascending where all are numbers, else in the order given.
    """
    import numpy as np

    words = list(dict.fromkeys(at for points in series.values() for at, _, _ in points))
    with suppress(ValueError):
        words.sort(key=float)
    position = {word: number for number, word in enumerate(words)}  # evenly: 0.95, 0.995 and 1 would lie on each other
    figure, axes = new_figure(SINGLE if len(words) <= 6 and len(series) <= 6 else DOUBLE, 3.0)
    many = len(series)
    drawn = zip(series.items(), _coloured(list(series), colours), strict=True)
    for number, ((method, points), (tint, marker, line)) in enumerate(drawn):
        ordered = sorted(points, key=lambda point: position[point[0]])
        x, y, half = (
            np.array(v, dtype=float)
            for v in ([position[p[0]] for p in ordered], [p[1] for p in ordered], [p[2] for p in ordered])
        )
        aside = (number - (many - 1) / 2) * min(0.06, 0.5 / many)  # intervals beside each other, not on each other
        axes.errorbar(
            x + aside,
            y,
            np.nan_to_num(half),
            capsize=2,
            color=tint,
            marker=marker,
            linestyle=line,
            elinewidth=0.8,
            label=short(method),
        )
    shown = ticks(len(words))
    axes.set(xlabel=short(name), ylabel=label, xticks=shown)
    _named(axes, [words[i] for i in shown])
    axes.grid(axis="y")
    if title:
        titled(axes, title)
    legend(figure, axes)
    save(figure, path)


def _named(axes: Any, names: Sequence[str]) -> None:
    """Names below an axis, upright where they would run into each other."""
    labels = [short(name, TICK) for name in names]
    crowded = sum(len(label) + 1 for label in labels) > 36
    axes.set_xticklabels(labels, rotation=90 if crowded else 0)


@dataclass(frozen=True)
class Row:
    """One method of a comparison: its value of each seed, their mean and half of its 95 % interval (NaN: none)."""

    name: str
    values: Sequence[float]
    mean: float
    half: float = float("nan")


@dataclass(frozen=True)
class Panel:
    """Methods beside each other by one metric: best first, ``label`` with unit and direction."""

    title: str
    label: str
    rows: Sequence[Row]
    bounds: tuple[float, float] | None = None  # beyond which no value can lie, though an interval may
    over: str = "seeds"  # what a value is of


def panel_of(metric: Metric, rows: Sequence[Row], about: str = "", over: str = "seeds") -> Panel:
    """The panel of a metric, of which one way is better; ``about`` says of what (a data set)."""
    ordered = sorted(rows, key=lambda row: row.mean, reverse=bool(metric.higher_is_better))
    title = f"{about and f'{about}, '}{metric.name}: {metric.words}"
    signed = metric.name.endswith(("/bwt", "/forgetting"))
    bounds = ((-1.0 if signed else 0.0), 1.0) if metric.unit == "share" else None
    return Panel(title, measure(metric.name, "", metric.unit), ordered, bounds, over)


@styled
def metric_by_method(
    comparisons: Sequence[Panel], path: Path, *, colours: Colours | None = None, most: int = 24
) -> None:
    """A line a method: a dot for each seed, and the mean with its 95 % interval; one panel a comparison (a data set, a
    metric), the first :data:`PANELS` of them, of each the best ``most`` methods.
    """
    import numpy as np

    shown = list(comparisons)[:PANELS]
    lines = [min(most, len(panel.rows)) for panel in shown]
    wide = max(len(short(row.name)) for panel in shown for row in panel.rows) > TICK
    figure = panels(DOUBLE if wide else SINGLE, 0.5 + sum(0.75 + 0.2 * n for n in lines))
    grid = figure.subplots(len(shown), 1, squeeze=False, height_ratios=[0.5 + n for n in lines])[:, 0]
    for panel, axes in zip(shown, grid, strict=True):
        rows = panel.rows[:most]
        tints = _coloured([row.name for row in rows], colours)
        for at, (row, (tint, marker, _)) in enumerate(zip(rows, tints, strict=True)):
            each = np.asarray(row.values, dtype=float)
            spread = np.linspace(-0.12, 0.12, len(each)) if len(each) > 1 else np.zeros(len(each))
            axes.plot(each, at + spread, "o", color=tint, alpha=0.45, markersize=3, markeredgewidth=0)
            half = None if np.isnan(row.half) else row.half
            axes.errorbar(row.mean, at, xerr=half, fmt=marker, color=tint, capsize=2.5, markersize=4.5, elinewidth=1.2)
        if panel.bounds is not None:
            low, high = axes.get_xlim()
            margin = 0.03 * (high - low)
            axes.set_xlim(max(low, panel.bounds[0] - margin), min(high, panel.bounds[1] + margin))
        left = len(panel.rows) - len(rows)
        axes.set(xlabel=panel.label, yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticklabels([short(row.name) for row in rows])
        axes.grid(axis="x")
        titled(axes, panel.title + (f" (the best {len(rows)}, {left} more)" if left else ""))
    several = max(len(row.values) for panel in shown for row in panel.rows)
    over = shown[0].over
    how = f"small dots: {several} {over}; mean and 95 % interval" if several > 1 else f"one {over.removesuffix('s')}"
    figure.supxlabel(how, fontsize=8)
    save(figure, path)
