"""IMDB-WIKI-DIR in the released layout: ``imdb_wiki.csv`` (age, path, split) beside ``imdb_crop/`` and ``wiki_crop/``;
else rotated digits.

The csv is that of the public imbalanced-regression split (191,509 / 11,022 / 11,022 images); it is read as AgeDB's is
(:mod:`.faces`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.source import RegressionInfo, Source
from .faces import FacesConfig, released, stand_in


class Config(FacesConfig):
    """As AgeDB's; the stand-in is skewed from the start, as IMDB-WIKI is."""

    imbalanced: bool = True


def load(
    config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None
) -> Source[RegressionInfo]:
    """Released layout under ``root``, or the stand-in. Raises DataError where files or values are missing."""
    if root is None:
        return stand_in(config)
    real = config.model_copy(update={"imbalanced": False})  # the released training set is skewed as it is
    return released(real, root, "imdb_wiki.csv", progress)
