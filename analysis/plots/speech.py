"""Confusion of intents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .figure import new_figure, short


def confusion(pairs: Mapping[tuple[str, str], int], path: Path, most: int = 30) -> None:
    """Counts of (gold, predicted) labels ``pairs``, rows normalised; predictions outside the gold labels share the
    column ``other``.

    With more than ``most`` labels the least frequent are left out.
    """
    from collections import Counter

    import numpy as np

    gold: Counter[str] = Counter()
    for (label, _), count in pairs.items():
        gold[label] += count
    names = sorted(label for label, _ in gold.most_common(most))
    columns = [*names, "other"]
    column = {name: i for i, name in enumerate(columns)}
    counts = np.zeros((len(names), len(columns)))
    for (label, said), count in pairs.items():
        if label in column:
            counts[column[label], column.get(said, len(names))] += count
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    side = 2 + 0.32 * len(columns)
    figure, axes = new_figure(side, side)
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
    axes.set_xticklabels([short(name) for name in columns], rotation=90, fontsize=7)
    axes.set_yticklabels([short(name) for name in names], fontsize=7)
    figure.savefig(path, dpi=120)
