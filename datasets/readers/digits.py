"""scikit-learn's handwritten digits (8 x 8, 1,797 of them), which come with the library: a small set of their own, and
the stand-in of larger ones.
"""

from __future__ import annotations

import numpy as np

from ..core.seeds import derive
from .images import Array

TRAIN = 1400  # rows before the test rows


def shuffled(seed: int) -> dict[str, tuple[Array, Array]]:
    """Grey images [N, 8, 8] uint8 and labels [N] int64 of train (1,400) and test (397), split by ``seed``."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(derive(seed, "digits")).permutation(len(digits.target))
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)[order]
    labels = digits.target.astype(np.int64)[order]
    return {"train": (grey[:TRAIN], labels[:TRAIN]), "test": (grey[TRAIN:], labels[TRAIN:])}


def enlarged(grey: Array, size: int) -> Array:
    """Images [N, h, w] uint8 as [N, size, size], bilinear."""
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BILINEAR)) for one in grey])
