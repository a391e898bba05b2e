"""BFFHQ in the layout of DisEnt's archive: ``bffhq/<share>/{align,conflict}/<class>/*``, ``bffhq/valid/*``,
``bffhq/test/*``.

The archive is read by :mod:`.skewed`. Without a data root: two classes of digits (0 to 4, 5 to 9) under a light that
falls from the left or from above (a bias that is not local).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.images import image_source
from ..core.source import ImageInfo, Source
from ..readers.images import Array
from . import skewed
from .biases import assign
from .digits import Digits, grey_digits
from .image_sets import counts, from_rows, table


class Config(BaseModel):
    """Which skewed share is read, and the size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: skewed.Share = Field("0.5pct", description="folder of the conflicting share")
    aligned_only: bool = Field(False, description="leave the conflicting training images out: ρ = 1")
    size: int = Field(128, ge=8, le=512, description="side in pixels")
    rho: float = Field(0.995, ge=0, le=1, description="stand-in: share of aligned training images")
    n_train: int = Field(1300, ge=20, le=1300, description="stand-in: training images")
    n_test: int = Field(397, ge=10, le=397, description="stand-in: test images")
    seed: int = Field(0, ge=0, description="stand-in: order of the digits")


def light(grey: Array, bias: Array) -> Array:
    """Grey images [N, S, S] with light added that falls from the left (bias 0) or from above (bias 1); [N, S, S, 3]
    uint8.
    """
    ramp = np.linspace(90, 0, grey.shape[1])
    ground = np.where(bias[:, None, None] == 0, ramp[None, None, :], ramp[None, :, None])
    lit = np.clip(grey.astype(float) * (165 / 255) + ground, 0, 255).astype(np.uint8)
    return np.repeat(lit[..., None], 3, 3)


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image``, ``label`` (young, old), ``bias`` (gender). Raises DataError with what is missing."""
    if root is not None:
        rows = skewed.disent(root, "bffhq", config.share, config.aligned_only)
        return from_rows(rows, config.size, progress, numbered=True)
    digits = grey_digits(Digits(n_train=config.n_train, n_test=config.n_test, seed=config.seed), None)
    splits = {}
    for split, (grey, numbers) in {**digits, "unbiased": digits["train"]}.items():
        labels = (numbers >= 5).astype(np.int64)
        bias = assign(labels, config.rho if split in ("train", "valid") else 0.5, 2)
        splits[split] = table(light(grey, bias), labels, bias)
    return image_source(splits, ["0", "1"], "stand-in")


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts and the share of aligned images."""
    return counts(load(config, root))
