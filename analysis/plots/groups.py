"""Accuracy of groups and grids of translations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .figure import CELLS, new_figure, ticks


def group_heatmap(matrix: Any, path: Path) -> None:
    """Accuracy by class (rows) and bias (columns), [classes, biases]; empty groups (NaN) stay empty."""
    import numpy as np

    figure, axes = new_figure(1.8 + 0.45 * matrix.shape[1], 1.6 + 0.4 * matrix.shape[0])
    image = axes.imshow(np.ma.masked_invalid(matrix), vmin=0, vmax=1, cmap="viridis")
    axes.set(
        title="accuracy by group",
        xlabel="bias",
        ylabel="class",
        xticks=ticks(matrix.shape[1]),
        yticks=ticks(matrix.shape[0]),
    )
    if matrix.size <= CELLS:
        for y, b in np.argwhere(~np.isnan(matrix)):
            value = matrix[y, b]
            axes.text(
                b, y, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white", fontsize=6
            )
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=120)


def translation_grid(grid: Any, path: Path) -> None:
    """Images [rows, columns, C, S, S] in [-1, 1]: the first column the image itself, the others its translations to
    mode 0, 1, ...

    At most 24 rows and 20 columns, and of large images every k-th pixel.
    """
    import numpy as np

    step = max(1, math.ceil(grid.shape[-1] / 128))
    grid = grid[:24, :20, :, ::step, ::step]
    grid = np.pad(grid.numpy(), [(0, 0)] * 3 + [(0, 1)] * 2, constant_values=1.0)  # a white line between images
    rows, columns, _, size, _ = grid.shape
    picture = ((grid + 1) / 2).clip(0, 1).transpose(0, 3, 1, 4, 2).reshape(rows * size, columns * size, -1)
    figure, axes = new_figure(0.6 * columns, 0.6 * rows + 0.4)
    axes.imshow(picture if picture.shape[2] == 3 else picture[..., 0], interpolation="nearest", cmap="gray")
    axes.set(xticks=[(k + 0.5) * size for k in range(columns)], yticks=[])
    axes.set_xticklabels(["image", *(str(k) for k in range(columns - 1))], fontsize=6)
    axes.set_title("an image and its translation to each mode", fontsize=8)
    figure.savefig(path, dpi=120)
