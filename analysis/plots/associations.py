"""How much one factor says of another: mutual information of all pairs as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .figure import AMOUNT, DOUBLE, TICK, colour_bar, ink, new_figure, save, short, styled, titled


@styled
def mutual_information(pairs: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """``pairs``: ``first``, ``second`` and ``bits`` of every pair of factors; the diagonal stays empty."""
    import numpy as np

    names = list(dict.fromkeys(str(pair[side]) for pair in pairs for side in ("first", "second")))
    bits = np.full((len(names), len(names)), np.nan)
    for pair in pairs:
        row, column = names.index(pair["first"]), names.index(pair["second"])
        bits[row, column] = bits[column, row] = pair["bits"]
    figure, axes = new_figure(DOUBLE, max(3.0, min(6.0, 1.2 + 0.3 * len(names))))
    image = axes.imshow(np.ma.masked_invalid(bits), vmin=0, vmax=max(1.0, np.nanmax(bits)), cmap=AMOUNT, aspect="auto")
    for row, column in np.argwhere(~np.isnan(bits)):
        value = bits[row, column]
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink(image, value), fontsize=7)
    axes.set(xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels([short(name, TICK) for name in names], rotation=90)
    axes.set_yticklabels([short(name, TICK) for name in names])
    titled(axes, title)
    colour_bar(figure, image, axes, "mutual information, bits")
    save(figure, path)
