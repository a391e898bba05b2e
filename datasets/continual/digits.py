"""scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels in ten classes, always there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..core.errors import DataError
from ..core.source import ImageInfo, Source
from ..readers.digits import enlarged, shuffled
from ..readers.images import Array
from . import image_sets


class Config(image_sets.ImageSet):
    """The same, and the side of the images."""

    size: Literal[8, 16, 28, 32] = Field(8, description="side in pixels; above 8 they are enlarged")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image`` and ``label``. Raises DataError where a data root is given, which could hold nothing for it."""
    if root is not None:
        raise DataError(
            f"{root}: the data set 'digits' comes with scikit-learn and reads no folder; leave --data-root out, or "
            "take data.name=mnist"
        )
    parts = {split: (_sized(grey, config.size), labels) for split, (grey, labels) in shuffled(config.seed).items()}
    return image_sets.made(config, parts, image_sets.DIGITS, "real", digits=True)


def _sized(grey: Array, size: int) -> Array:
    return grey if size == grey.shape[1] else enlarged(grey, size)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows by class."""
    return image_sets.counts(load(config, root))
