"""How far classes lie apart after each layer, how far alterations move texts, and accuracy over their strength."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..metrics.representation import coordinates
from .figure import LINES, SINGLE, legend, new_figure, save, short, styled, titled
from .palette import colour

Lines = Mapping[str, Mapping[int, float]]  # series -> layer (0: word embeddings) -> value


@styled
def separation_by_layer(series: Lines, path: Path) -> None:
    """Class separation (between / within) after each layer, a line a set of rows; at most :data:`LINES` of them."""
    _by_layer(series, "separation (between / within)", "class separation by layer: higher is better", path)


@styled
def shift_by_layer(series: Lines, path: Path) -> None:
    """Mean distance of alterations from their originals over the distance within classes, after each layer."""
    _by_layer(series, "shift (over within)", "drift under alteration by layer: lower is better", path)


def _by_layer(series: Lines, label: str, title: str, path: Path) -> None:
    figure, axes = new_figure(SINGLE, 2.4 + 0.16 * min(len(series), LINES))
    for number, (name, values) in enumerate(list(series.items())[:LINES]):
        layers = sorted(values)
        axes.plot(layers, [values[k] for k in layers], marker="o", color=colour(number), label=short(name))
    every = sorted({layer for values in series.values() for layer in values})
    axes.set(xlabel="layer (0: word embeddings)", ylabel=label, xticks=every)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    more = len(series) - LINES
    titled(axes, title + (f" ({LINES} of {len(series)} sets)" if more > 0 else ""))
    legend(figure, axes)
    save(figure, path)


@styled
def accuracy_over_strength(curve: Mapping[float, float], path: Path) -> None:
    """Accuracy on altered texts over the strength of the alteration, the share of words that an operation changes."""
    figure, axes = new_figure(SINGLE, 2.4)
    strengths = sorted(curve)
    axes.plot(strengths, [curve[s] for s in strengths], marker="o", color=colour(0))
    axes.set(xlabel="strength of the alteration (share of words)", ylabel="accuracy")
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y")
    titled(axes, "robustness: accuracy on altered texts, higher is better")
    save(figure, path)


def write_coordinates(rows: Any, labels: Any, features: Any, path: Path) -> None:
    """A table of the first two principal components of each row: ``row``, ``class`` (number), ``x``, ``y``."""
    points = coordinates(features)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "class", "x", "y"])
        for row, label, (x, y) in zip(rows, labels, points, strict=True):
            writer.writerow([int(row), int(label), repr(float(x)), repr(float(y))])
