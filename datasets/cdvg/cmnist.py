"""Colored MNIST (LfF's generator) and, as an option, a background colour (ReBias's Biased MNIST).

The digits are those of :mod:`.digits`, or, under the data root, images coloured already in DisEnt's or LfF's archive
(:mod:`.skewed`). Without a data root scikit-learn's digits are coloured instead (8 x 8, the stand-in).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.images import image_source
from ..core.source import ImageInfo, Source
from ..readers.mnist import FILES, find
from . import skewed
from .digits import Digits, colours_of, grey_digits, paint
from .image_sets import counts, table

ARCHIVED = skewed.Archived(
    "cmnist", "ColoredMNIST", 28, tuple(str(c) for c in range(10)), f"MNIST's idx files ({FILES['train'][0]})"
)


class Config(Digits, skewed.Options):
    """The same, and what to read of an archive."""


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image``, ``label``, ``bias``. ``test`` and ``unbiased`` (the training digits again, for the classifier
    of the translation report; not in an archive) have colours that do not depend on the class; ``valid`` has the
    training distribution. Raises DataError.
    """
    if root is not None:
        archive = skewed.read(
            config,
            root,
            ARCHIVED,
            find(root) is not None,
            severity=config.severity,
            seed=config.seed,
            progress=progress,
            counts={"train": config.n_train, "valid": config.n_valid, "test": config.n_test},
            colours=colours_of(config),
        )
        if archive is not None and (config.carrier != "foreground" or config.size not in (None, 28)):
            raise DataError(
                f"{root}: an archive's digits are coloured in the foreground at 28 px; leave "
                "data.options.carrier and size out"
            )
        if archive is not None:
            return archive
    splits = {}
    digits = grey_digits(config, root)
    for split, (grey, labels) in {**digits, "unbiased": digits["train"]}.items():
        rho = config.rho if split in ("train", "valid") else 0.1
        images, bias = paint(grey, labels, rho, config, split)
        splits[split] = table(images, labels, bias)
    return image_source(
        splits, [str(c) for c in range(10)], "stand-in" if root is None else "real", colours=colours_of(config)
    )


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts and the share of aligned images."""
    return counts(load(config, root))
