"""Penalties of dependence between two codes, and the KL terms of the auto-encoders, beside plain loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.methods.losses.density_ratio import density_ratio, discriminator_loss
from holdfast.methods.losses.gaussian_kl import decomposed_kl, gaussian_kl
from holdfast.methods.losses.information_bounds import gaussian_log_density, l1out, vclub, vub
from holdfast.methods.losses.mmd import GAMMAS, mmd
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional as F

N, D = 7, 3


def draw(seed: int, n: int = N) -> Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()


def q(mean: Tensor, log_variance: Tensor) -> Any:
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def test_mmd_is_the_double_loop() -> None:
    x, y = draw(0), draw(1, 4)

    def mean(a: Tensor, b: Tensor) -> Tensor:
        each = [sum(torch.exp(-g * (u - v).square().sum()) for g in GAMMAS) for u in a for v in b]
        return torch.stack([torch.as_tensor(e) for e in each]).mean()

    wanted = mean(x, x) + mean(y, y) - 2 * mean(x, y)
    found = mmd(x, y, block=2)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)
    for a, b in zip(torch.autograd.grad(found, (x, y)), torch.autograd.grad(wanted, (x, y)), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-13)
    assert mmd(x, x).item() == pytest.approx(0, abs=1e-12)
    assert mmd(x, y[:0]).item() == 0
    with pytest.raises(ValueError, match="one width"):
        mmd(x, y[:, :2])


def test_bounds_are_the_double_loop() -> None:
    s, mean, log_v = draw(0), draw(1), draw(2)
    log_q = torch.stack([q(mean[j : j + 1], log_v[j : j + 1]).log_prob(s) for j in range(N)], 1)  # [i, j]: s_i, c_j
    own = log_q.diagonal()
    assert torch.allclose(gaussian_log_density(s, mean, log_v), own)
    assert vclub(s, mean, log_v).item() == pytest.approx((own.mean() - log_q.mean()).item(), rel=1e-12)
    prior = q(torch.zeros_like(s), torch.zeros_like(s)).log_prob(s)
    assert vub(s, mean, log_v).item() == pytest.approx((own - prior).mean().item(), rel=1e-12)
    rows = [own[i] - torch.stack([log_q[i, j].exp() for j in range(N) if j != i]).mean().log() for i in range(N)]
    assert l1out(s, mean, log_v).item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-10)
    for bound in (vclub, vub, l1out):
        assert torch.autograd.gradcheck(bound, (s, mean, log_v))
        empty = bound(s[:0], mean[:0], log_v[:0])
        empty.backward()
        assert empty.item() == 0
    assert l1out(s[:1], mean[:1], log_v[:1]).item() == 0
    with pytest.raises(ValueError, match="log variances"):
        vclub(s, mean[:2], log_v)


def test_a_bound_is_small_for_independent_codes_and_large_for_equal_ones() -> None:
    s = draw(0, 500).detach()
    narrow, other = torch.full_like(s, math.log(0.1)), draw(1, 500).detach()
    for bound in (vclub, l1out):
        assert bound(s, s, narrow) > 4
    assert abs(float(vclub(s, other, torch.zeros_like(s)))) < 0.3


def test_density_ratio() -> None:
    joint, shuffled = draw(0)[:, 0], draw(1)[:, 0]
    labels = torch.cat([torch.ones(N), torch.zeros(N)]).double()
    wanted = F.binary_cross_entropy_with_logits(torch.cat([joint, shuffled]), labels)
    assert discriminator_loss(joint, shuffled).item() == pytest.approx(wanted.item())
    assert density_ratio(joint).item() == pytest.approx(joint.mean().item())
    assert density_ratio(joint, form="relu").item() == pytest.approx(joint.clamp(min=0).mean().item())
    assert density_ratio(joint[:0]).item() == discriminator_loss(joint[:0], shuffled[:0]).item() == 0


def test_kl_and_its_parts() -> None:
    mean, log_v = draw(0), draw(1)
    standard = q(torch.zeros_like(mean), torch.zeros_like(mean))
    assert gaussian_kl(mean, log_v).item() == pytest.approx(kl_divergence(q(mean, log_v), standard).mean().item())
    assert gaussian_kl(mean[:0], log_v[:0]).item() == 0
    z, rows = draw(2), 100
    information, correlation, dimensions = decomposed_kl(z, mean, log_v, rows, block=2)
    whole = (q(mean, log_v).log_prob(z) - standard.log_prob(z)).mean()
    assert (information + correlation + dimensions).item() == pytest.approx(whole.item(), rel=1e-12)
    each = Normal(mean, (log_v / 2).exp()).log_prob(z[:, None])  # [i, j, d]
    log_q = each.sum(2).exp().sum(1).log() - math.log(N * rows)
    log_product = (each.exp().sum(1).log() - math.log(N * rows)).sum(1)
    assert correlation.item() == pytest.approx((log_q - log_product).mean().item(), rel=1e-10)
    assert all(part.item() == 0 for part in decomposed_kl(z[:0], mean[:0], log_v[:0], rows))
