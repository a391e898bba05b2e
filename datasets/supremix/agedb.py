"""AgeDB-DIR in the released layout (``agedb.csv`` with age, path, split, beside ``AgeDB/``), or rotated digits
(:mod:`.faces`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.source import RegressionInfo, Source
from .faces import FacesConfig, released, stand_in


class Config(FacesConfig):
    """Size of images and of the stand-in."""


def load(
    config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None
) -> Source[RegressionInfo]:
    """Released layout under ``root``, or the stand-in. Raises DataError where files or values are missing."""
    return stand_in(config) if root is None else released(config, root, "agedb.csv", progress)
