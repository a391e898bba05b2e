"""MNIST's handwritten digits, from its idx files under the data root (:mod:`..readers.mnist`).

Without a data root scikit-learn's digits, enlarged to 16 px, take their place (the stand-in).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..core.source import ImageInfo, Source
from ..readers import digits, mnist
from . import image_sets

SIDE = 16  # of the stand-in


class Config(image_sets.ImageSet):
    """The same, and the side of the images."""

    size: Literal[8, 16, 28] | None = Field(
        None, description="side in pixels; real digits: null: 28, 16 and 8 are means; stand-in: null: 16"
    )


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image`` and ``label``. Raises DataError where files are missing or damaged."""
    if root is not None:
        parts = image_sets.mixed(mnist.read(root, config.size), config.seed)
        return image_sets.made(config, parts, image_sets.DIGITS, "real", digits=False)
    small = digits.shuffled(config.seed)
    parts = {split: (digits.enlarged(grey, config.size or SIDE), labels) for split, (grey, labels) in small.items()}
    return image_sets.made(config, parts, image_sets.DIGITS, "stand-in", digits=True)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows by class."""
    return image_sets.counts(load(config, root))
