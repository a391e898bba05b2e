"""Coloured digits whose bias drifts: in experience k the colour of class c is c + k · shift, which contradicts the
experiences before (own set).

Data root and stand-in as in :mod:`.cmnist`; use ``data.split: given`` and as many ``data.experiences`` as the option
says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ..core.images import image_source
from ..core.source import ImageInfo, Source
from .digits import Digits, colours_of, grey_digits, paint
from .image_sets import counts, table


class Config(Digits):
    """The bias of one experience, and how it moves."""

    experiences: int = Field(2, ge=1, le=10, description="experiences; the training digits are shared out among them")
    shift: int = Field(
        1, ge=0, le=9, description="colours by which the map moves from one experience to the next; 0: no drift"
    )


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image``, ``label``, ``bias``, ``experience`` and ``usual`` (the bias that is usual for the row's class
    in its experience).
    """
    digits = grey_digits(config, root)
    splits = {}
    for split, (grey, labels) in {**digits, "unbiased": digits["train"]}.items():
        experience = np.arange(len(labels)) % config.experiences
        images = np.zeros((*grey.shape, 3), np.uint8)
        bias, usual = np.zeros_like(labels), np.zeros_like(labels)
        rho = config.rho if split in ("train", "valid") else 0.1
        for k in range(config.experiences):
            rows = np.flatnonzero(experience == k)
            images[rows], bias[rows] = paint(grey[rows], labels[rows], rho, config, f"{split}/{k}", k * config.shift)
            usual[rows] = (labels[rows] + k * config.shift) % 10
        splits[split] = table(images, labels, bias, experience=experience, usual=usual)
    names = [str(c) for c in range(10)]
    return image_source(splits, names, "stand-in" if root is None else "real", colours=colours_of(config))


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts and the share of aligned images."""
    return counts(load(config, root))
