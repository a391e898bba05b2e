"""Confusion of classes, and how far probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .figure import CELLS, new_figure, short, ticks


def confusion_matrix(counts: Any, names: Sequence[str], path: Path) -> None:
    """Rows by true (down) and predicted class (across), ``counts`` [C, C], coloured by their share of the true class; a
    class without rows stays empty.

    Up to :data:`CELLS` cells carry their count.
    """
    import numpy as np

    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(1, keepdims=True)
    side = 0.42 * len(names)
    longest = max(len(short(name)) for name in names)
    figure, axes = new_figure(2.6 + side + 0.05 * longest, 1.6 + side + 0.05 * longest)
    image = axes.imshow(np.ma.masked_invalid(share), vmin=0, vmax=1, cmap="viridis")
    for y, k in np.argwhere(counts > 0) if counts.size <= CELLS else ():
        colour = "black" if share[y, k] > 0.6 else "white"
        axes.text(k, y, f"{counts[y, k]}", ha="center", va="center", color=colour, fontsize=7)
    shown = ticks(len(names))
    axes.set(title="confusion matrix", xlabel="predicted class", ylabel="true class", xticks=shown, yticks=shown)
    labels = [short(names[k]) for k in shown]
    axes.set_xticklabels(labels, rotation=90 if longest > 2 else 0, fontsize=8)
    axes.set_yticklabels(labels, fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    figure.savefig(path, dpi=120)


def reliability(rows: Any, right: Any, confidence: Any, ece: float, path: Path) -> None:
    """Accuracy over mean confidence of each bin that has rows, with the diagonal of perfect calibration and, behind it,
    the share of rows in each bin.

    ``rows``, ``right`` and ``confidence`` (sum of largest probabilities): [bins], of equal width.
    """
    import numpy as np

    bins = len(rows)
    filled = rows > 0
    centre = (np.arange(bins) + 0.5) / bins
    figure, axes = new_figure(4.8, 4.6)
    axes.bar(centre, rows / rows.sum(), width=0.94 / bins, color="lightgrey", label="share of rows")
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="perfect calibration")
    axes.plot(
        confidence[filled] / rows[filled], right[filled] / rows[filled], marker="o", markersize=4, label="accuracy"
    )
    axes.set(
        title=f"reliability: expected calibration error {ece:.3f}",
        xlabel="largest probability",
        ylabel="accuracy, share of rows",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=120)
