"""LDS and FDS: kernels, weights, statistics of bins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from holdfast.methods.losses.label_density import (
    Kernel,
    bin_statistics,
    bin_weights,
    calibrate,
    kernel,
    smooth_statistics,
)
from holdfast.methods.supremix.lds import LDSConfig
from pydantic import ValidationError
from scipy import ndimage, signal


def test_lds_weights_have_mean_one_and_favour_rare_labels() -> None:
    counts = torch.tensor([100.0, 50, 10, 1, 0, 0, 0, 0], dtype=torch.float64)
    for reweight in ("sqrt_inv", "inverse"):
        for smooth in (True, False):
            w = bin_weights(counts, reweight=reweight, smooth=smooth)
            assert float((w * counts).sum() / counts.sum()) == pytest.approx(1)
            assert float(w[3]) > float(w[0])
    plain = bin_weights(counts, smooth=False)
    assert float(plain[2] / plain[0]) == pytest.approx(math.sqrt(10))
    k = kernel()[2:].tolist()
    root = counts.sqrt()
    smoothed = float(root[0] * k[2] + root[1] * k[1] + root[2] * k[0] + root[3] * k[1])
    first = float(root[0] * k[0] + root[1] * k[1] + root[2] * k[2])
    w = bin_weights(counts)
    assert float(w[2] / w[0]) == pytest.approx(first / smoothed, rel=1e-9)


@pytest.mark.parametrize(("size", "sigma"), [(1, 2.0), (5, 2.0), (5, 1.0), (9, 0.3), (3, 7.5), (101, 4.0)])
def test_kernels_are_those_of_scipy(size: int, sigma: float) -> None:
    """DIR: scipy's Gaussian filter of the unit impulse with reflected borders, scipy's triangle, Laplace's density."""
    impulse = np.zeros(size)
    impulse[size // 2] = 1
    gaussian = ndimage.gaussian_filter1d(impulse, sigma)
    assert kernel(size, sigma).numpy() == pytest.approx(gaussian / gaussian.max(), rel=1e-9, abs=1e-12)
    assert kernel(size, sigma, "triangular").numpy() == pytest.approx(signal.windows.triang(size), rel=1e-9)
    away = np.abs(np.arange(size) - size // 2)
    assert kernel(size, sigma, "laplace").numpy() == pytest.approx(np.exp(-away / sigma), rel=1e-9)


def test_a_kernel_that_is_no_window_is_refused() -> None:
    for size, sigma in ((4, 2.0), (0, 2.0), (5, 0.0), (5, math.nan)):
        with pytest.raises(ValueError, match="odd size and a positive sigma"):
            kernel(size, sigma)
    for fields, message in (
        ({"kernel_size": 4}, "must be odd"),
        ({"kernel_size": 9, "bins": 4}, "needs more than 4 bins"),
    ):
        with pytest.raises(ValidationError, match=message):
            LDSConfig.model_validate(fields)


@pytest.mark.parametrize("shape", ["gaussian", "triangular", "laplace"])
def test_smoothing_takes_every_kernel(shape: Kernel) -> None:
    counts = torch.tensor([0.0, 0, 9, 0, 0, 0], dtype=torch.float64)
    k = kernel(3, 1.0, shape)
    weight = bin_weights(counts, size=3, sigma=1.0, shape=shape)
    assert weight[1:4].tolist() == pytest.approx([float(1 / k[0]), 1.0, float(1 / k[2])])
    one = torch.zeros(7, 2).index_fill(0, torch.tensor([3]), 1.0)
    assert smooth_statistics(one, 3, 1.0, shape)[2:5, 0].tolist() == pytest.approx((k / k.sum()).tolist())


def test_statistics_of_bins_are_replaced_once_and_then_moved() -> None:
    f = torch.tensor([[1.0], [3.0], [10.0]])
    start = torch.zeros(3, 1), torch.ones(3, 1), torch.zeros(3, dtype=torch.bool)
    mean, variance, seen = bin_statistics(f, torch.tensor([0, 0, 2]), *start)
    assert (mean.flatten().tolist(), variance.flatten().tolist()) == ([2.0, 0.0, 10.0], [2.0, 1.0, 0.0])
    assert seen.tolist() == [True, False, True]
    mean, variance, _ = bin_statistics(f + 1, torch.tensor([0, 0, 1]), mean, variance, seen, 0.9)
    assert mean.flatten().tolist() == pytest.approx([0.9 * 2 + 0.1 * 3, 11.0, 10.0])
    assert variance.flatten().tolist() == pytest.approx([2.0, 0.0, 0.0])
    assert not bool(start[2].any())  # the old ones are not written to


def test_calibration_is_the_identity_where_smoothing_changes_nothing() -> None:
    f = torch.randn(5, 3)
    mean, variance = torch.randn(5, 3), torch.rand(5, 3) + 0.5
    assert torch.allclose(calibrate(f, mean, variance, mean, variance), f, atol=1e-6)
    assert torch.equal(calibrate(f, mean, torch.zeros(5, 3), mean + 1, variance), f)
    assert torch.allclose(
        calibrate(f, mean, variance, mean + 1, variance * 100), (f - mean) * 10**0.5 + mean + 1, atol=1e-5
    )
    constant = torch.ones(9, 2) * 3
    assert torch.allclose(smooth_statistics(constant), constant)
