"""Predictions, errors and embeddings over the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .figure import POINTS, new_figure


def prediction_against_truth(value: Any, label: Any, name: str, path: Path) -> None:
    """Predicted over true labels [N], with the diagonal; of many rows :data:`POINTS`."""
    from ..metrics.regression import thin

    figure, axes = new_figure(4.8, 4.8)
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
    bins = np.clip(np.digitize(label, edges) - 1, 0, len(centre) - 1)
    shown = np.unique(bins)
    error = [np.abs(value - label)[bins == b].mean() for b in shown]
    figure, axes = new_figure(6.4, 4.0)
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
    figure, axes = new_figure(5.4, 4.6)
    rows = thin(len(shown), POINTS)
    points = axes.scatter(shown[rows, 0], shown[rows, 1], c=label[rows], s=8, cmap="viridis")
    axes.set(xlabel="first component", ylabel="second component", title=f"{of}: {share:.0%} of the variance")
    figure.colorbar(points, ax=axes, label=name)
    figure.savefig(path, dpi=120)


def ordinality(distance: Any, dissimilarity: Any, name: str, path: Path, of: str) -> None:
    """Median and middle half of 1 - cos over bins of label distance; both [pairs]; ``of`` says of what."""
    import numpy as np

    edges = np.unique(np.quantile(distance, np.linspace(0, 1, 25)))
    bins = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, max(0, len(edges) - 2))
    shown = np.unique(bins)
    quartiles = np.array([np.quantile(dissimilarity[bins == b], [0.25, 0.5, 0.75]) for b in shown])
    centre = np.array([distance[bins == b].mean() for b in shown])
    figure, axes = new_figure(5.4, 4.0)
    axes.plot(centre, quartiles[:, 1], marker="o", markersize=3)
    axes.fill_between(centre, quartiles[:, 0], quartiles[:, 2], alpha=0.2)
    axes.set(xlabel=f"distance in {name}", ylabel=f"1 - cosine of the {of}")
    figure.savefig(path, dpi=120)
