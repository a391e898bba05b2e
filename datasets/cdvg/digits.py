"""Digits before and after a bias is drawn into them: MNIST's idx files, or scikit-learn's 8 x 8 digits (the stand-in of
every image set here).

Under the data root lie MNIST's four idx files, or a folder ``mnist``, ``MNIST/raw`` or ``raw`` with them, compressed
or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.images import cut
from ..core.seeds import derive
from ..core.source import Colours
from ..readers import mnist
from ..readers.digits import shuffled
from ..readers.images import Array
from .biases import BACKGROUNDS, CORNER, PALETTE, assign, bright_corner, colour, colour_background, striped_ground

STD = {1: 0.05, 2: 0.02, 3: 0.01, 4: 0.005, 5: 0.002}  # colour noise by severity


class Digits(BaseModel):
    """How strong the bias is, what carries it, and how many rows there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rho: float = Field(
        1.0, ge=0, le=1, description="ρ: share of training images whose colour is their class's; 1: no exception"
    )
    carrier: Literal["foreground", "background", "patch", "stripes"] = Field(
        "foreground",
        description=(
            "what carries the bias: the colour of the digit (Colored MNIST) or of the ground (Biased "
            "MNIST), the brightness of a corner, the direction of stripes on the ground"
        ),
    )
    severity: int = Field(2, ge=1, le=5, description="1 to 5: colour noise .05, .02, .01, .005, .002 (foreground only)")
    n_train: int | None = Field(
        None, ge=20, description="training images; null: all but the validation's (stand-in: 1300)"
    )
    n_valid: int | None = Field(
        None, ge=1, description="validation images of the training distribution; null: 5000 (stand-in: 100)"
    )
    n_test: int | None = Field(None, ge=1, description="test images, colour independent of class; null: all")
    size: Literal[8, 16, 28] | None = Field(
        None, description="real digits: side in pixels; 16 and 8 are means of the 32 px image; null: 28"
    )
    seed: int = Field(0, ge=0, description="order of the rows and colour noise")


def grey_digits(config: Digits, root: Path | None) -> dict[str, tuple[Array, Array]]:
    """Grey images [N, S, S] uint8 and labels [N] of train, valid and test, before any colour. Raises DataError."""
    parts = shuffled(config.seed) if root is None else mnist.read(root, config.size)
    made = cut(parts, config.n_train, config.n_valid or (100 if root is None else 5000), config.n_test)
    return {split: (grey, labels) for split, (grey, labels) in made.items()}


def paint(grey: Array, labels: Array, rho: float, config: Digits, purpose: str, shift: int = 0) -> tuple[Array, Array]:
    """Images [N, S, S, 3] and bias [N] of one split. ``shift``: the colour of class c is c + shift modulo 10."""
    bias = (assign(labels, rho, 10) + shift) % 10
    if config.carrier == "background":
        return colour_background(grey, bias), bias
    if config.carrier == "patch":
        return bright_corner(grey, bias), bias
    if config.carrier == "stripes":
        return striped_ground(grey, bias), bias
    noise = np.random.default_rng(derive(config.seed, f"colour/{purpose}")).standard_normal((len(grey), 3))
    return colour(grey, bias, noise, STD[config.severity], np.asarray(PALETTE)), bias


def colours_of(config: Digits) -> Colours | None:
    """What the oracle recolourer must know; None of stripes, which it cannot take away."""
    if config.carrier == "stripes":
        return None
    if config.carrier == "patch":
        return Colours("patch", tuple((level / 255, level / 255, level / 255) for level in CORNER))
    if config.carrier == "foreground":
        return Colours("foreground", PALETTE)
    return Colours("background", tuple((r / 255, g / 255, b / 255) for r, g, b in BACKGROUNDS))
