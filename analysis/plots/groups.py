"""Accuracy of groups and grids of translations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .figure import CELLS, DOUBLE, SINGLE, colour_bar, ink, new_figure, quality, save, styled, ticks, titled


@styled
def group_heatmap(matrix: Any, path: Path) -> None:
    """Accuracy by class (rows) and bias (columns), [classes, biases]; empty groups (NaN) stay empty."""
    import numpy as np

    rows, columns = matrix.shape
    width = SINGLE if columns <= 6 else DOUBLE
    figure, axes = new_figure(width, max(1.8, min(1.1 + 0.24 * rows, 0.85 * width)))
    image = axes.imshow(np.ma.masked_invalid(matrix), vmin=0, vmax=1, cmap=quality(True), aspect="auto")
    axes.set(xlabel="bias", ylabel="class", xticks=ticks(columns), yticks=ticks(rows))
    titled(axes, "accuracy by group: higher is better")
    if matrix.size <= CELLS:
        for y, b in np.argwhere(~np.isnan(matrix)):
            axes.text(b, y, f"{matrix[y, b]:.2f}", ha="center", va="center", color=ink(image, matrix[y, b]))
    colour_bar(figure, image, axes, "accuracy (share)")
    save(figure, path)


@styled
def translation_grid(grid: Any, path: Path, *, title: str = "an image and its translation to each mode") -> None:
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
    width = SINGLE if columns <= 6 else DOUBLE
    figure, axes = new_figure(width, 0.65 + width * rows / columns)
    axes.imshow(picture if picture.shape[2] == 3 else picture[..., 0], interpolation="nearest", cmap="gray")
    axes.set(xticks=[(k + 0.5) * size for k in range(columns)], yticks=[], xlabel="the image, and the mode")
    axes.set_xticklabels(["image", *(str(k) for k in range(columns - 1))])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    titled(axes, title)
    save(figure, path)
