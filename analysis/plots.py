"""Pictures of results, as PNG files. Arrays in, files out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SIDE = 12.0  # inches that a picture has at most, whatever it shows: 1440 pixels
CELLS = 144  # of a matrix that carry their number
POINTS = 20_000  # of a scatter
LABEL = 40  # characters of a name


@contextmanager
def spared(path: Path, warn: Callable[[str], None] | None = None) -> Iterator[Path]:
    """Draw ``path`` inside: whatever goes wrong there is told to ``warn`` (by default a warning), and nothing half-written stays."""
    try:
        yield path
    except Exception as error:  # out of memory too: no result depends on a picture
        with suppress(OSError):
            path.unlink(missing_ok=True)
        reason = next(iter(str(error).splitlines()), "")
        (warn or warnings.warn)(
            f"no picture {path.parent.name}/{path.name}: {type(error).__name__}{reason and ': '}{reason}"
        )


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of at most :data:`SIDE` inches a side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(width, SIDE), min(height, SIDE)), layout="constrained")
    FigureCanvasAgg(figure)  # no global pyplot state, no display
    return figure, figure.add_subplot()


def _ticks(count: int, most: int = 25) -> range:
    """At most ``most`` of ``count`` places, evenly, from the first."""
    return range(0, count, max(1, math.ceil(count / most)))


def _short(name: str) -> str:
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"


def matrix_heatmap(cells: Mapping[tuple[int, int], tuple[float, int]], title: str, path: Path) -> None:
    """The matrix of the main metric: rows = after experience t, columns = test experience j, cells never measured stay empty.

    The picture has the same size from a dozen experiences on; up to :data:`CELLS` cells carry their value and count.
    """
    import numpy as np

    rows, columns = max(t for t, _ in cells) + 1, max(j for _, j in cells) + 1
    values = np.full((rows, columns), np.nan)
    for (t, j), (value, _) in cells.items():
        values[t, j] = value
    figure, axes = _figure(1.6 + 0.8 * columns, 1.6 + 0.7 * rows)
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
        title=_short(title),
        xlabel="test experience",
        ylabel="after experience",
        xticks=_ticks(columns),
        yticks=_ticks(rows),
    )
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=120)


def metric_over_experiences(series: Mapping[str, Sequence[Sequence[float]]], label: str, path: Path) -> None:
    """One line a method: the mean over its seeds after each experience, with the range of the seeds behind it.

    ``series[method]`` holds one list of values a seed; a method with one value (an offline bound) is drawn as a dashed level.
    """
    import numpy as np

    figure, axes = _figure(6.4, 4.2)
    longest = max((len(run) for runs in series.values() for run in runs), default=1)
    for name, runs in series.items():
        values = np.array(runs)
        if values.shape[1] == 1 and longest > 1:
            axes.axhline(values.mean(), linestyle="--", color="grey", label=_short(name))
            continue
        steps = np.arange(values.shape[1])
        (line,) = axes.plot(steps, values.mean(0), marker="o", label=_short(name))
        if len(runs) > 1:
            axes.fill_between(steps, values.min(0), values.max(0), alpha=0.15, color=line.get_color())
    axes.set(xlabel="after experience", ylabel=label, xticks=_ticks(longest))
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
    place = {word: number for number, word in enumerate(words)}  # evenly: 0.95, 0.995 and 1 would lie on each other
    figure, axes = _figure(7.2, 4.4)
    for number, (method, points) in enumerate(series.items()):
        ordered = sorted(points, key=lambda point: place[point[0]])
        x, y, half = (
            np.array(v, dtype=float)
            for v in ([place[p[0]] for p in ordered], [p[1] for p in ordered], [p[2] for p in ordered])
        )
        style = {
            "linestyle": ("-", "--", ":")[number // 10 % 3],
            "marker": "osD"[number // 10 % 3],
        }  # colours come again after ten
        axes.errorbar(x, y, np.nan_to_num(half), capsize=3, label=_short(method), **style)
    shown = _ticks(len(words))
    axes.set(xlabel=name, ylabel=label, xticks=shown, xticklabels=[_short(words[i]) for i in shown])
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.savefig(path, dpi=120)


def confusion(gold: Sequence[str], predicted: Sequence[str], path: Path, most: int = 30) -> None:
    """Counts of (gold, predicted) labels, rows normalised; predictions outside the gold labels share the column ``other``.

    With more than ``most`` labels the least frequent are left out.
    """
    from collections import Counter

    import numpy as np

    frequent = Counter(gold).most_common(most)
    names = sorted(name for name, _ in frequent)
    columns = [*names, "other"]
    place = {name: i for i, name in enumerate(columns)}
    counts = np.zeros((len(names), len(columns)))
    for g, p in zip(gold, predicted, strict=True):
        if g in place:
            counts[place[g], place.get(p, len(names))] += 1
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    side = 2 + 0.32 * len(columns)
    figure, axes = _figure(side, side)
    axes.imshow(share, vmin=0, vmax=1, cmap="viridis")
    for i, j in zip(*np.nonzero(counts), strict=True):
        axes.text(
            j,
            i,
            f"{counts[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize=6,
            color="black" if share[i, j] > 0.6 else "white",
        )
    axes.set(xlabel="predicted", ylabel="true", xticks=range(len(columns)), yticks=range(len(names)))
    axes.set_xticklabels([_short(name) for name in columns], rotation=90, fontsize=7)
    axes.set_yticklabels([_short(name) for name in names], fontsize=7)
    figure.savefig(path, dpi=120)


def prediction_against_truth(value: Any, label: Any, name: str, path: Path) -> None:
    """Predicted over true labels [N], with the diagonal; of many rows :data:`POINTS`."""
    from .regression import thin

    figure, axes = _figure(4.8, 4.8)
    low, high = min(value.min(), label.min()), max(value.max(), label.max())
    axes.plot([low, high], [low, high], color="grey", linewidth=1)
    rows = thin(len(value), POINTS)
    axes.scatter(label[rows], value[rows], s=8, alpha=0.5)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", aspect="equal")
    figure.savefig(path, dpi=120)


def _bins(*labels: Any, most: int = 40) -> Any:
    """Edges of at most ``most`` bins over all ``labels``; whole numbers keep bins of their own where they fit."""
    import numpy as np

    every = np.concatenate(labels)
    low, high = every.min(), every.max()
    if (every == np.round(every)).all() and high - low < 2 * most:
        step = 1 if high - low < most else 2
        return np.arange(low - 0.5, high + step + 0.5, step)
    return np.linspace(low, high if high > low else low + 1, most + 1)


def error_over_label(value: Any, label: Any, train: Any, name: str, path: Path) -> None:
    """Mean absolute error by label bin, with the counts of training labels [n_train] behind it."""
    import numpy as np

    edges = _bins(label, train)
    centre = (edges[1:] + edges[:-1]) / 2
    place = np.clip(np.digitize(label, edges) - 1, 0, len(centre) - 1)
    shown = np.unique(place)
    error = [np.abs(value - label)[place == b].mean() for b in shown]
    figure, axes = _figure(6.4, 4.0)
    behind = axes.twinx()
    behind.bar(centre, np.histogram(train, edges)[0], width=np.diff(edges), color="lightgrey", zorder=0)
    behind.set_ylabel("training rows")
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(centre[shown], error, marker="o", markersize=3)
    axes.set(xlabel=name, ylabel="mean absolute error")
    axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=120)


def embedding_by_label(embedding: Any, label: Any, name: str, path: Path, of: str) -> None:
    """The first two principal components of unit-length embeddings [N, d], coloured by label; ``of`` names them; of many rows :data:`POINTS`."""
    import numpy as np

    from .regression import thin

    z = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    z = z - z.mean(0)
    _, s, directions = np.linalg.svd(z, full_matrices=False)
    if len(directions) < 2:
        directions = np.vstack([directions, np.zeros_like(directions)])
    shown = z @ directions[:2].T
    share = (s**2)[:2].sum() / max((s**2).sum(), 1e-12)
    figure, axes = _figure(5.4, 4.6)
    rows = thin(len(shown), POINTS)
    points = axes.scatter(shown[rows, 0], shown[rows, 1], c=label[rows], s=8, cmap="viridis")
    axes.set(xlabel="first component", ylabel="second component", title=f"{of}: {share:.0%} of the variance")
    figure.colorbar(points, ax=axes, label=name)
    figure.savefig(path, dpi=120)


def ordinality(distance: Any, dissimilarity: Any, name: str, path: Path, of: str) -> None:
    """Median and middle half of 1 - cos over bins of label distance; both [pairs]; ``of`` says of what."""
    import numpy as np

    edges = np.unique(np.quantile(distance, np.linspace(0, 1, 25)))
    place = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, max(0, len(edges) - 2))
    shown = np.unique(place)
    quartiles = np.array([np.quantile(dissimilarity[place == b], [0.25, 0.5, 0.75]) for b in shown])
    centre = np.array([distance[place == b].mean() for b in shown])
    figure, axes = _figure(5.4, 4.0)
    axes.plot(centre, quartiles[:, 1], marker="o", markersize=3)
    axes.fill_between(centre, quartiles[:, 0], quartiles[:, 2], alpha=0.2)
    axes.set(xlabel=f"distance in {name}", ylabel=f"1 - cosine of the {of}")
    figure.savefig(path, dpi=120)


def group_heatmap(matrix: Any, path: Path) -> None:
    """Accuracy by class (rows) and bias (columns), [classes, biases]; empty groups (NaN) stay empty."""
    import numpy as np

    figure, axes = _figure(1.8 + 0.45 * matrix.shape[1], 1.6 + 0.4 * matrix.shape[0])
    image = axes.imshow(np.ma.masked_invalid(matrix), vmin=0, vmax=1, cmap="viridis")
    axes.set(title="accuracy by group", xlabel="bias", ylabel="class", xticks=_ticks(matrix.shape[1]), yticks=_ticks(matrix.shape[0]))  # fmt: skip
    if matrix.size <= CELLS:
        for y, b in np.argwhere(~np.isnan(matrix)):
            value = matrix[y, b]
            axes.text(
                b, y, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white", fontsize=6
            )
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=120)


def translation_grid(grid: Any, path: Path) -> None:
    """Images [rows, columns, C, S, S] in [-1, 1]: the first column the image itself, the others its translations to mode 0, 1, ...

    At most 24 rows and 20 columns, and of large images every k-th pixel.
    """
    import numpy as np

    step = max(1, math.ceil(grid.shape[-1] / 128))
    grid = grid[:24, :20, :, ::step, ::step]
    grid = np.pad(grid.numpy(), [(0, 0)] * 3 + [(0, 1)] * 2, constant_values=1.0)  # a white line between images
    rows, columns, _, size, _ = grid.shape
    picture = ((grid + 1) / 2).clip(0, 1).transpose(0, 3, 1, 4, 2).reshape(rows * size, columns * size, -1)
    figure, axes = _figure(0.6 * columns, 0.6 * rows + 0.4)
    axes.imshow(picture if picture.shape[2] == 3 else picture[..., 0], interpolation="nearest", cmap="gray")
    axes.set(xticks=[(k + 0.5) * size for k in range(columns)], yticks=[])
    axes.set_xticklabels(["image", *(str(k) for k in range(columns - 1))], fontsize=6)
    axes.set_title("an image and its translation to each mode", fontsize=8)
    figure.savefig(path, dpi=120)
