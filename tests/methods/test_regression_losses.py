"""Losses that SupReMix is compared with, against plain loops in float64, and what must hold of them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from holdfast.methods.losses.adacon import adacon
from holdfast.methods.losses.bmse import balanced_mse
from holdfast.methods.losses.conr import conr
from holdfast.methods.losses.label_density import (
    Kernel,
    bin_statistics,
    bin_weights,
    calibrate,
    kernel,
    smooth_statistics,
)
from holdfast.methods.losses.ranksim import ranks, ranksim
from holdfast.methods.losses.rnc import rnc
from holdfast.methods.losses.supremix import supremix
from holdfast.methods.losses.yaware import yaware
from holdfast.methods.supremix.lds import LDSConfig
from pydantic import ValidationError
from scipy import ndimage, signal
from torch import Tensor
from torch.nn import functional as F

CASES = range(12)


def case(number: int, views: int = 2, unit: bool = True, integers: bool = True) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(number)
    n = 2 + number % 6
    z = torch.randn(views * n, 5, dtype=torch.float64, generator=g)
    y = (
        torch.randint(0, 4, (n,), generator=g).double()
        if integers
        else torch.randn(n, dtype=torch.float64, generator=g)
    )
    return (F.normalize(z, dim=1) if unit else z), y


def plain_rnc(f: Tensor, y: Tensor, tau: float) -> float:
    label = y.repeat(len(f) // len(y)).tolist()
    far = torch.cdist(f, f, compute_mode="donot_use_mm_for_euclid_dist").tolist()
    m, total = len(f), 0.0
    for i in range(m):
        for j in range(m):
            if j != i:
                away = abs(label[i] - label[j])
                s = [math.exp(-far[i][k] / tau) for k in range(m) if k != i and abs(label[i] - label[k]) >= away]
                total += math.log(sum(s)) + far[i][j] / tau
    return total / (m * (m - 1))


@pytest.mark.parametrize("number", CASES)
@pytest.mark.parametrize("views", [1, 2])
def test_rnc_is_the_double_loop(number: int, views: int) -> None:
    f, y = case(number, views, unit=False, integers=number % 2 == 0)
    assert float(rnc(f, y, temperature=1.5)) == pytest.approx(plain_rnc(f, y, 1.5), rel=1e-9)
    assert float(rnc(f, y)) >= 0


def test_rnc_has_finite_gradients_where_rows_coincide_and_where_the_batch_is_large() -> None:
    f = torch.zeros(8, 3, requires_grad=True)
    rnc(f, torch.arange(4.0)).backward()
    assert f.grad is not None
    assert bool(f.grad.isfinite().all())
    big, y = torch.randn(66, 4, dtype=torch.float64), torch.arange(33.0) % 7
    assert float(rnc(big, y)) == pytest.approx(plain_rnc(big, y, 2.0), rel=1e-9)
    far = 1e4 * torch.randn(20, 4)
    assert bool(rnc(far, torch.arange(10.0), temperature=0.01).isfinite())
    small = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rnc(x, torch.tensor([0.0, 1.0, 1.0])), (small,))


def plain_yaware(z: Tensor, y: Tensor, sigma: float, tau: float, exp: bool) -> float:
    y = y.repeat(len(z) // len(y))
    m, total = len(z), 0.0
    s = [[float(z[i] @ z[k]) / tau for k in range(m)] for i in range(m)]
    for i in range(m):
        w = [0.0 if k == i else math.exp(-(float(y[i] - y[k]) ** 2) / (2 * sigma**2)) for k in range(m)]
        for j in range(m):
            if j == i:
                continue
            if exp:
                u = [s[i][t] - max(s[i]) for t in range(m)]
                total -= w[j] / sum(w) * (u[j] - math.log(sum(math.exp(u[t] * (1 - w[t])) for t in range(m) if t != i)))
            else:
                total -= w[j] / sum(w) * (s[i][j] - math.log(sum(math.exp(s[i][k]) for k in range(m) if k != i)))
    return total / m


@pytest.mark.parametrize("number", CASES)
@pytest.mark.parametrize("exp", [False, True])
def test_yaware_is_the_double_loop(number: int, exp: bool) -> None:
    z, y = case(number, integers=False)
    found = yaware(z, y, sigma=0.7, temperature=0.3, variant="exp" if exp else "yaware")
    assert float(found) == pytest.approx(plain_yaware(z, y, 0.7, 0.3, exp), rel=1e-9)


def test_yaware_becomes_simclr_as_sigma_goes_to_zero() -> None:
    z, _ = case(4)
    y = torch.arange(len(z) // 2).double()
    simclr = supremix(z, y, temperature=0.1, mix_neg=False, mix_pos=False, weight="none")
    assert float(yaware(z, y, sigma=1e-3, temperature=0.1)) == pytest.approx(float(simclr), rel=1e-9)
    official = yaware(z, y, sigma=1e-3, temperature=0.1, variant="official")
    assert float(official) == pytest.approx(2 * float(simclr), rel=1e-9)  # 1/N instead of 1/M; W is symmetric here


@pytest.mark.parametrize("number", CASES)
def test_adacon_is_the_double_loop_and_supcon_without_margin(number: int) -> None:
    z, y = case(number)
    cdf = y * 25
    labels, f = y.repeat(2), cdf.repeat(2)
    each = []
    for i in range(len(z)):
        logit = [
            3 * (float(z[i] @ z[k]) + (0.0 if labels[i] == labels[k] else min(2.0, 0.02 * abs(float(f[i] - f[k])))))
            for k in range(len(z))
        ]
        log_sum = math.log(sum(math.exp(v) for k, v in enumerate(logit) if k != i))
        positive = [k for k in range(len(z)) if k != i and labels[k] == labels[i]]
        each.append(sum(log_sum - logit[k] for k in positive) / len(positive))
    assert float(adacon(z, y, cdf, scale=3, norm=0.02)) == pytest.approx(sum(each) / len(each), rel=1e-9)
    plain = supremix(z, y, temperature=0.5, mix_neg=False, mix_pos=False, weight="none")
    assert float(adacon(z, y, cdf, scale=2, norm=0.0)) == pytest.approx(float(plain), rel=1e-9)


def test_adacon_without_positives_is_zero_with_a_graph() -> None:
    z = F.normalize(torch.randn(4, 3), dim=1).requires_grad_()
    loss = adacon(z, torch.arange(4.0), torch.arange(4.0))
    loss.backward()
    assert float(loss.detach()) == 0


def test_ranks_and_ranksim_of_features_in_the_order_of_labels() -> None:
    assert ranks(torch.tensor([0.3, 2.0, 1.0])).tolist() == pytest.approx([1.0, 1 / 3, 2 / 3])
    y = torch.tensor([0.0, 1.0, 3.0, 7.0])
    arc = torch.stack([torch.cos(y / 10), torch.sin(y / 10)], 1).requires_grad_()
    g = torch.Generator().manual_seed(0)
    assert float(ranksim(arc, y, generator=g).detach()) == 0
    mixed = arc.detach()[[2, 0, 3, 1]].requires_grad_()
    loss = ranksim(mixed, y, generator=g)
    loss.backward()
    z = mixed.detach()
    expected = sum(
        float((ranks((F.normalize(z, dim=1) @ F.normalize(z, dim=1).T)[i]) - ranks(-(y[i] - y).abs())).square().mean())
        for i in range(4)
    )
    assert float(loss.detach()) == pytest.approx(expected)
    assert mixed.grad is not None
    assert bool(mixed.grad.isfinite().all())
    assert float(ranksim(mixed, torch.zeros(4), generator=g).detach()) == 0


@pytest.mark.parametrize("number", CASES)
@pytest.mark.parametrize("masks", ["exact", "official"])
def test_conr_is_the_double_loop(number: int, masks: Literal["exact", "official"]) -> None:
    z, y = case(number, views=1)
    prediction = y + torch.randn(len(y), generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    total, m = 0.0, len(z)
    for i in range(m):
        positive = [k for k in range(m) if k != i and abs(y[i] - y[k]) <= 1]
        negative = [k for k in range(m) if abs(y[i] - y[k]) > 1 and abs(prediction[i] - prediction[k]) <= 1]
        if not positive or not negative:
            continue
        below = sum(math.exp(float(z[i] @ z[k]) / 0.2) for k in positive)
        below += (m - len(positive)) * math.exp(0) if masks == "official" else 0
        below += sum(math.exp(0.01 * abs(float(y[i] - y[k])) + float(z[i] @ z[k]) / 0.2) for k in negative)
        total += sum(math.log(below) - float(z[i] @ z[k]) / 0.2 for k in positive) / len(positive)
    assert float(conr(z, y, prediction, masks=masks)) == pytest.approx(total / m, rel=1e-9, abs=1e-12)


def test_balanced_mse_is_a_cross_entropy_and_falls_to_zero_with_sigma() -> None:
    p, y = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    sigma = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    expected = 0.0
    for i in range(6):
        logits = [-float((p[i] - y[j]) ** 2) / (2 * 0.49) for j in range(6)]
        expected += (math.log(sum(map(math.exp, logits))) - logits[i]) / 6
    loss = balanced_mse(p, y, sigma)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * 0.49 * expected, rel=1e-9)
    assert sigma.grad is not None
    values = [float(balanced_mse(y, y, torch.tensor(s))) for s in (1.0, 0.3, 0.1, 0.01)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-4


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


@pytest.mark.parametrize("name", ["rnc", "yaware", "adacon", "conr"])
def test_half_precision_is_computed_in_float32_and_one_row_is_zero(name: str) -> None:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        match name:
            case "rnc":
                return rnc(z, y)
            case "yaware":
                return yaware(z, y)
            case "adacon":
                return adacon(z, y, y)
        return conr(z, y, y)

    z = F.normalize(torch.randn(6, 4), dim=1)
    y = torch.tensor([0.0, 0, 1, 1, 2, 5])
    half = loss(z.half(), y)
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(loss(z.half().float(), y)), rel=1e-5)
    one = z[:1].clone().requires_grad_()
    zero = loss(one, y[:1])
    zero.backward()
    assert float(zero.detach()) == 0
    with pytest.raises(ValueError, match=r"\["):
        loss(z, y[:4])
