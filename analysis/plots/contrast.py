"""What two representations know: table of probes, both in the plane, and norms by group."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ..metrics.contrast import Cell
from .figure import (
    CELLS,
    DOUBLE,
    LINES,
    POINTS,
    SINGLE,
    TICK,
    colour_bar,
    ink,
    new_figure,
    panels,
    quality,
    save,
    short,
    styled,
    titled,
)
from .palette import colour

GREY = "#CCCCCC"
DOTS = 2000  # points of a scatter above which a PDF holds them as an image
NEIGHBOURS = 5_000  # rows of a UMAP
Coloured = tuple[str, Sequence[str] | None, Any]  # name, classes (None: a number), value of each row


def umap_installed() -> bool:
    """Whether the package umap-learn is there; nothing needs it."""
    return importlib.util.find_spec("umap") is not None


@styled
def probe_table(cells: Sequence[Cell], path: Path) -> None:
    """Attributes (down) by spaces (across), coloured by the distance of the probe's score from its ideal; a cell
    carries its score and, in brackets, what is ideal there.
    """
    import numpy as np

    attributes, spaces = (list(dict.fromkeys(getattr(cell, key) for cell in cells)) for key in ("attribute", "space"))
    matrix = np.full((len(attributes), len(spaces)), np.nan)
    for cell in cells:
        matrix[attributes.index(cell.attribute), spaces.index(cell.space)] = min(cell.distance, 1.0)
    figure, axes = new_figure(SINGLE, max(2.2, 1.3 + 0.3 * len(attributes)))
    image = axes.imshow(np.ma.masked_invalid(matrix), vmin=0, vmax=1, cmap=quality(False), aspect="auto")
    for cell in cells if matrix.size <= CELLS else ():
        y, x = attributes.index(cell.attribute), spaces.index(cell.space)
        ideal = "ideal" if cell.score == cell.ideal else f"ideal {cell.ideal:.2g}"
        text = f"{cell.shown:.2f} ({ideal})" if cell.shown == cell.score else f"error {cell.shown:.3g}"
        axes.text(x, y, text, ha="center", va="center", color=ink(image, matrix[y, x]))
    axes.set(xticks=range(len(spaces)), yticks=range(len(attributes)), xlabel="space")
    axes.set_xticklabels(spaces)
    axes.set_yticklabels([short(name, TICK) for name in attributes])
    titled(axes, "linear probes: what each space knows")
    colour_bar(figure, image, axes, "distance from ideal", higher_is_better=False)
    save(figure, path)


@styled
def norms(values: Mapping[str, Any], path: Path) -> None:
    """Histograms of the norms of salient codes by group; each [rows of the group], as shares of the group's rows."""
    import numpy as np

    every = np.concatenate([v for v in values.values() if len(v)] or [np.zeros(1)])
    every = every[np.isfinite(every)]
    edges = np.linspace(0, max(float(every.max(initial=0)), 1e-9), 41)
    figure, axes = new_figure(SINGLE, 2.4)
    for k, (name, part) in enumerate(values.items()):
        if len(part):
            weights = np.full(len(part), 1 / len(part))
            label = f"{name} (mean {part.mean():.3g})"
            axes.hist(part, edges, weights=weights, color=colour(k), alpha=0.6, label=label)
    axes.set(xlabel="norm of the salient code", ylabel="share of the group's rows")
    axes.set_xlim(left=0)
    titled(axes, "salient codes: background at 0 is better")
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path)


@styled
def spaces(
    representations: Mapping[str, Any],
    attributes: Sequence[Coloured],
    path: Path,
    by: Literal["pca", "umap"] = "pca",
) -> None:
    """Each space (down) in the plane of its first two principal components, or by UMAP, coloured by each of
    ``attributes`` (across); rows without a value are grey. At most :data:`POINTS` rows, evenly.
    """
    import numpy as np

    from ..metrics.regression import thin

    count = len(next(iter(representations.values())))
    figure = panels(DOUBLE, 2.6 * len(representations) + 0.9)
    heights = [1.0] * len(representations) + [0.22]  # the last row holds the legends
    axes = figure.subplots(len(heights), len(attributes), squeeze=False, height_ratios=heights)
    rows = thin(count, POINTS if by == "pca" else NEIGHBOURS)
    drawn: dict[int, tuple[str, Any]] = {}
    for i, (space, features) in enumerate(representations.items()):
        flat, words = _plane(np.asarray(features, np.float64)[rows], by)
        for j, (name, classes, values) in enumerate(attributes):
            one, value = axes[i, j], np.asarray(values, np.float64)[rows]
            known = np.isfinite(value) & ((value >= 0) if classes is not None else True)
            style: dict[str, Any] = {"s": 5, "linewidths": 0, "rasterized": len(rows) > DOTS}
            one.scatter(*flat[~known].T, color=GREY, **style)
            if classes is not None:
                for number, label in enumerate(classes):
                    chosen = known & (value == number)
                    if chosen.any():
                        one.scatter(*flat[chosen].T, color=colour(number), label=short(label, TICK), **style)
            elif known.any():
                drawn[j] = (name, one.scatter(*flat[known].T, c=value[known], cmap="cividis", **style))
            one.set(xticks=[], yticks=[])
            one.set_ylabel(words if j == 0 else "")
            titled(one, f"{space} space by {short(name, TICK)}")
    for j in range(len(attributes)):
        axes[-1, j].axis("off")
        handles, labels = axes[0, j].get_legend_handles_labels()
        if j in drawn:
            bar = figure.colorbar(drawn[j][1], ax=axes[-1, j], orientation="horizontal", fraction=0.4, aspect=30)
            bar.set_label(short(drawn[j][0]))
        elif handles:
            columns = 5 if max(map(len, labels)) <= 3 else 3
            key = {"ncols": columns, "markerscale": 2, "columnspacing": 0.8, "handletextpad": 0.1}
            axes[-1, j].legend(handles[:LINES], labels[:LINES], loc="upper center", **key).set_in_layout(False)
    save(figure, path)


def _plane(features: Any, by: str) -> tuple[Any, str]:
    """Rows [N, 2], and in words how much of the variance they show."""
    import numpy as np

    finite = np.where(np.isfinite(features), features, 0.0)
    if by == "umap" and len(finite) > 15:
        from umap import UMAP

        return UMAP(n_components=2, random_state=0, n_jobs=1).fit_transform(finite), "UMAP"
    z = finite - finite.mean(0) if len(finite) else finite
    _, s, directions = np.linalg.svd(z, full_matrices=False)
    padded = np.zeros((2, z.shape[1]))
    padded[: min(2, len(directions))] = directions[:2]
    share = (s[:2] ** 2).sum() / max((s**2).sum(), 1e-300)
    return z @ padded.T, f"first two principal components: {share:.0%}"
