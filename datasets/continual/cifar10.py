"""CIFAR-10, from its batches under the data root (:mod:`..readers.cifar`).

Without a data root scikit-learn's digits, enlarged, each in colours of its own on a ground of its own, take their
place (the stand-in): ten classes of colour images in which colour says nothing about the class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ..core.errors import DataError
from ..core.seeds import derive
from ..core.source import ImageInfo, Source
from ..readers import cifar, digits
from ..readers.images import Array
from . import image_sets

INK, GROUND = (130, 256), (0, 110)  # levels of the stand-in's colours, each channel by itself


class Config(image_sets.ImageSet):
    """The same, and the side of the stand-in."""

    size: Literal[8, 16, 32] = Field(16, description="stand-in: side in pixels; real images have 32")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image`` and ``label``. Raises DataError where batches are missing or damaged."""
    if root is not None:
        folder = cifar.find(root)
        if folder is None:
            raise DataError(
                f"{root}: no batches of CIFAR-10 there; --data-root names the folder that holds cifar-10-batches-py "
                "or cifar-10-batches-bin"
            )
        parts = image_sets.mixed(cifar.read(folder), config.seed)
        return image_sets.made(config, parts, cifar.CLASSES, "real", digits=False)
    small = digits.shuffled(config.seed).items()
    coloured = {split: (_coloured(grey, config, split), labels) for split, (grey, labels) in small}
    return image_sets.made(config, coloured, image_sets.DIGITS, "stand-in", digits=True)


def _coloured(grey: Array, config: Config, split: str) -> Array:
    """Images [N, 8, 8] enlarged to [N, S, S, 3], ink and ground of each drawn from the seed."""
    rng = np.random.default_rng(derive(config.seed, f"colours/{split}"))
    ink, ground = (rng.integers(*levels, (len(grey), 1, 1, 3)) for levels in (INK, GROUND))
    share = digits.enlarged(grey, config.size).astype(np.float32)[..., None] / 255
    return np.round(ground + share * (ink - ground)).astype(np.uint8)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows by class."""
    return image_sets.counts(load(config, root))
