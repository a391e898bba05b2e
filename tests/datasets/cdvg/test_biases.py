"""Assignment of biases, and what they look like."""

from __future__ import annotations

import numpy as np
import pytest
from holdfast.datasets.cdvg.biases import BACKGROUNDS, assign, colour_background


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.5, 0.95, 0.995, 1.0])
def test_assignment_holds_its_share(rho: float) -> None:
    labels = np.random.default_rng(0).integers(0, 10, 3000)
    bias = assign(labels, rho, 10)
    for c in range(10):
        mine = bias[labels == c]
        assert abs(np.mean(mine == c) - rho) <= 1 / len(mine) + 1e-12  # two milestones, each rounded
        others = np.bincount(mine, minlength=10)[np.arange(10) != c]
        assert others.max() - others.min() <= 1
    if rho == 1:
        np.testing.assert_array_equal(bias, labels)
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match="rho"):
            assign(labels, bad, 10)
    with pytest.raises(ValueError, match="labels"):
        assign(labels, 0.5, 9)


def test_background_is_coloured_and_the_digit_white() -> None:
    grey = np.zeros((10, 4, 4), np.uint8)
    grey[:, 1] = 200
    images = colour_background(grey, np.arange(10))
    assert (images[:, 1] == 255).all()
    for b in range(10):
        assert (images[b, 0] == BACKGROUNDS[b]).all()
