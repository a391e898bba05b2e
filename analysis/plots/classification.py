"""Confusion of classes, and how far probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .figure import (
    AMOUNT,
    CELLS,
    DOUBLE,
    SINGLE,
    TICK,
    colour_bar,
    ink,
    new_figure,
    save,
    short,
    styled,
    ticks,
    titled,
)
from .palette import colour


@styled
def confusion_matrix(counts: Any, names: Sequence[str], path: Path) -> None:
    """Rows by true (down) and predicted class (across), ``counts`` [C, C], coloured by their share of the true class; a
    class without rows stays empty.

    Up to :data:`CELLS` cells carry their count.
    """
    draw_confusion(counts, names, names, "confusion matrix: rows by true and predicted class", "class", path)


def draw_confusion(counts: Any, rows: Sequence[str], columns: Sequence[str], title: str, kind: str, path: Path) -> None:
    """``counts`` [true, predicted] with the names of both sides; part of a styled picture."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(1, keepdims=True)
    width = SINGLE if len(columns) <= 10 else DOUBLE
    longest = min(TICK, max(len(name) for name in (*rows, *columns)))
    figure, axes = new_figure(width, max(2.3, min(0.85 * width, 1.0 + 0.22 * len(rows)) + 0.06 * longest))
    image = axes.imshow(np.ma.masked_invalid(share), vmin=0, vmax=1, cmap=AMOUNT, aspect="auto")
    for y, k in np.argwhere(counts > 0) if counts.size <= CELLS else ():
        axes.text(k, y, f"{counts[y, k]:.0f}", ha="center", va="center", color=ink(image, share[y, k]))
    across, down = ticks(len(columns)), ticks(len(rows))
    axes.set(xlabel=f"predicted {kind}", ylabel=f"true {kind}", xticks=across, yticks=down)
    crowded = sum(min(TICK, len(columns[k])) + 1 for k in across) > (30 if width == SINGLE else 76)
    axes.set_xticklabels([short(columns[k], TICK) for k in across], rotation=90 if crowded else 0)
    axes.set_yticklabels([short(rows[k], TICK) for k in down])
    titled(axes, title)
    colour_bar(figure, image, axes, f"share of the true {kind}")
    save(figure, path)


@styled
def reliability(rows: Any, right: Any, confidence: Any, ece: float, path: Path) -> None:
    """Accuracy over mean confidence of each bin that has rows, with the diagonal of perfect calibration and, behind it,
    the share of rows in each bin.

    ``rows``, ``right`` and ``confidence`` (sum of largest probabilities): [bins], of equal width.
    """
    import numpy as np

    bins = len(rows)
    filled = rows > 0
    centre = (np.arange(bins) + 0.5) / bins
    figure, axes = new_figure(SINGLE, 2.9)
    axes.bar(centre, rows / rows.sum(), width=0.94 / bins, color="#DDDDDD", label="share of rows")
    axes.plot([0, 1], [0, 1], color="#7F7F7F", linestyle="--", linewidth=0.8, label="perfect calibration")
    axes.plot(
        confidence[filled] / rows[filled], right[filled] / rows[filled], marker="o", color=colour(0), label="accuracy"
    )
    axes.set(xlabel="largest probability", ylabel="accuracy, share of rows", xlim=(0, 1), ylim=(0, 1.02))
    titled(axes, f"reliability: expected calibration error {ece:.3f} (lower is better)")
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path)
