"""Digits on gratings, 8 x 8: the stand-in of image sets for contrastive analysis.

What both sets share is a grating of one of six directions; what only the target has is one of scikit-learn's digits.
An image is (1 - a) · grating + a · digit, a background image (1 - a) · grating.
"""

from __future__ import annotations

import numpy as np

from ..core.contrast import Attribute
from ..core.seeds import derive
from ..readers.digits import shuffled
from ..readers.images import Array

SIDE, DIRECTIONS, VALID_DIGITS = 8, 6, 100
ATTRIBUTES = (
    Attribute("grating", "grating", "common", tuple(f"{30 * k} degrees" for k in range(DIRECTIONS))),
    Attribute("digit", "digit", "salient", tuple(str(c) for c in range(10)), target_only=True),
)


def gratings(classes: Array, rng: np.random.Generator) -> Array:
    """Gratings [N, 8, 8] in [0, 1] of ``classes`` [N]: 0.5 + 0.5 sin(f (cos θ (x - 3.5) + sin θ (y - 3.5)) + φ) with
    θ = π class / 6 + N(0, 0.08²), f from U(0.9, 1.3), φ from U(-0.6, 0.6).
    """
    n = len(classes)
    theta = np.pi * classes / DIRECTIONS + 0.08 * rng.standard_normal(n)
    f, phase = rng.uniform(0.9, 1.3, n), rng.uniform(-0.6, 0.6, n)
    y, x = np.meshgrid(np.arange(SIDE) - 3.5, np.arange(SIDE) - 3.5, indexing="ij")
    theta, f, phase = (v[:, None, None] for v in (theta, f, phase))
    return np.asarray(0.5 + 0.5 * np.sin(f * (np.cos(theta) * x + np.sin(theta) * y) + phase))


def made(strength: float, counts: dict[str, int], seed: int) -> dict[str, dict[str, Array]]:
    """Columns ``image`` [2n, 8, 8] uint8, ``target``, ``grating``, ``digit`` [2n] of each split: n = ``counts`` rows of
    each group, backgrounds first. No digit is in two splits: of 1,797 training has 1,300, validation 100, test 397.
    """
    digits = shuffled(seed)
    grey, labels = digits["train"]
    pools = {
        "train": (grey[:-VALID_DIGITS], labels[:-VALID_DIGITS]),
        "valid": (grey[-VALID_DIGITS:], labels[-VALID_DIGITS:]),
        "test": digits["test"],
    }
    splits = {}
    for split, count in counts.items():
        rng = np.random.default_rng(derive(seed, f"gratings/{split}"))
        pool, numbers = pools[split]
        classes = rng.integers(0, DIRECTIONS, 2 * count)
        drawn = rng.integers(0, len(pool), count)
        image = (1 - strength) * gratings(classes, rng)
        image[count:] += strength * pool[drawn] / 255
        splits[split] = {
            "image": np.round(255 * image).astype(np.uint8),
            "target": np.repeat([0, 1], count),
            "grating": classes,
            "digit": np.concatenate([np.full(count, -1), numbers[drawn]]),
        }
    return splits
