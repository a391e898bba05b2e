"""Predictions, errors and embeddings over the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .figure import (
    POINTS,
    SINGLE,
    colour_bar,
    new_figure,
    save,
    short,
    styled,
    titled,
)
from .palette import colour

DOTS = 2000  # a PDF holds more of them as an image: no viewer draws ten thousand shapes in time


@styled
def prediction_against_truth(value: Any, label: Any, name: str, path: Path) -> None:
    """Predicted over true labels [N], with the diagonal; of many rows :data:`POINTS`."""
    from ..metrics.regression import thin

    figure, axes = new_figure(SINGLE, 3.3)
    low, high = min(value.min(), label.min()), max(value.max(), label.max())
    axes.plot([low, high], [low, high], color="#7F7F7F", linewidth=0.8, linestyle="--")
    rows = thin(len(value), POINTS)
    axes.scatter(
        label[rows], value[rows], s=6, alpha=0.5, color=colour(0), linewidths=0, rasterized=len(label[rows]) > DOTS
    )
    axes.set(xlabel=f"true {short(name)}", ylabel=f"predicted {short(name)}", aspect="equal")
    titled(axes, "predictions on test rows; dashed: no error")
    save(figure, path)


def _bins(*labels: Any, most: int = 40) -> Any:
    """Edges of at most ``most`` bins over all ``labels``; whole numbers keep bins of their own where they fit."""
    import numpy as np

    every = np.concatenate(labels)
    low, high = every.min(), every.max()
    if (every == np.round(every)).all() and high - low < 2 * most:
        step = 1 if high - low < most else 2
        return np.arange(low - 0.5, high + step + 0.5, step)
    return np.linspace(low, high if high > low else low + 1, most + 1)


@styled
def error_over_label(value: Any, label: Any, train: Any, name: str, path: Path) -> None:
    """Mean absolute error by label bin, with the counts of training labels [n_train] behind it."""
    import numpy as np

    edges = _bins(label, train)
    centre = (edges[1:] + edges[:-1]) / 2
    bins = np.clip(np.digitize(label, edges) - 1, 0, len(centre) - 1)
    shown = np.unique(bins)
    error = [np.abs(value - label)[bins == b].mean() for b in shown]
    figure, axes = new_figure(SINGLE, 2.6)
    behind = axes.twinx()
    behind.bar(centre, np.histogram(train, edges)[0], width=np.diff(edges), color="#DDDDDD", zorder=0)
    behind.set_ylabel("training rows (grey bars)")
    behind.spines["right"].set_visible(True)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(centre[shown], error, marker="o", markersize=3, color=colour(0))
    axes.set(xlabel=short(name), ylabel="mean absolute error")
    axes.set_ylim(bottom=0)
    titled(axes, "mean absolute error by label: lower is better")
    save(figure, path)


@styled
def embedding_by_label(embedding: Any, label: Any, name: str, path: Path, of: str) -> None:
    """The first two principal components of unit-length embeddings [N, d], coloured by label; ``of`` names them; of
    many rows :data:`POINTS`.
    """
    import numpy as np

    from ..metrics.regression import thin

    z = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    z = z - z.mean(0)
    _, s, directions = np.linalg.svd(z, full_matrices=False)
    if len(directions) < 2:
        directions = np.vstack([directions, np.zeros_like(directions)])
    shown = z @ directions[:2].T
    share = (s**2)[:2].sum() / max((s**2).sum(), 1e-12)
    figure, axes = new_figure(SINGLE, 2.8)
    rows = thin(len(shown), POINTS)
    points = axes.scatter(
        *(shown[rows, 0], shown[rows, 1]),
        c=label[rows],
        s=6,
        cmap="cividis",
        linewidths=0,
        rasterized=len(label[rows]) > DOTS,
    )
    axes.set(xlabel="first principal component", ylabel="second")
    titled(axes, f"{of} in the plane of {share:.0%} of their variance")
    colour_bar(figure, points, axes, name)
    save(figure, path)


@styled
def ordinality(distance: Any, dissimilarity: Any, name: str, path: Path, of: str) -> None:
    """Median and middle half of 1 - cos over bins of label distance; both [pairs]; ``of`` says of what."""
    import numpy as np

    edges = np.unique(np.quantile(distance, np.linspace(0, 1, 25)))
    bins = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, max(0, len(edges) - 2))
    shown = np.unique(bins)
    quartiles = np.array([np.quantile(dissimilarity[bins == b], [0.25, 0.5, 0.75]) for b in shown])
    centre = np.array([distance[bins == b].mean() for b in shown])
    figure, axes = new_figure(SINGLE, 2.6)
    axes.plot(centre, quartiles[:, 1], marker="o", markersize=3, color=colour(0), label="median")
    axes.fill_between(
        centre, quartiles[:, 0], quartiles[:, 2], alpha=0.2, color=colour(0), linewidth=0, label="middle half"
    )
    axes.set(xlabel=f"distance in {short(name)}", ylabel="1 − cosine")
    axes.legend(loc="upper left")
    titled(axes, f"distance of the {of} over that of the labels: rising is better")
    save(figure, path)
