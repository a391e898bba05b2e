"""SepCLR's losses: plain loops, properties, corners, gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.methods.losses.sepclr import (
    SepCLRTerms,
    align,
    attribute_alignment,
    joint_entropy,
    kernel_mutual_information,
    pinned,
    sepclr,
    sepclr_supervised,
    uniformity,
    uniformity_by_anchor,
)
from torch import Tensor
from torch.nn import functional as F

N, D = 11, 4


def codes(seed: int = 0, n: int = N, d: int = D) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double()


def views(seed: int = 0, n: int = N) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    c1, c2, s1, s2 = (codes(4 * seed + k, n).requires_grad_() for k in range(4))
    return c1, c2, s1, s2, (torch.arange(n) % 3 != 0).long()


def halves(n: int = N) -> tuple[Any, Tensor]:
    """The four codes of both views, and the memberships."""
    *inputs, target = views(n=n)
    return inputs, target


def terms_of(codes: Any, target: Tensor, **options: Any) -> SepCLRTerms:
    c1, c2, s1, s2 = codes
    return sepclr(c1, c2, s1, s2, target, **options)


def k(a: Tensor, b: Tensor, tau: float) -> Tensor:
    return torch.exp(-(a - b).square().sum() / (2 * tau))


def loop_unif(a: Tensor, tau: float) -> Tensor:
    n = len(a)
    pairs = [k(a[i], a[j], tau) for i in range(n) for j in range(i + 1, n)]
    return torch.log(2 / (n * (n - 1)) * torch.stack(pairs).sum())


def loop_jem(c: Tensor, s: Tensor, tau: float) -> Tensor:
    n = len(c)
    rows = [torch.stack([k(c[i], c[j], tau) * k(s[i], s[j], tau) for j in range(n)]).mean() for i in range(n)]
    return torch.stack(rows).log().mean()


def loop_total(codes: Any, target: Tensor, beta_s: float, beta_0: float, lam: float) -> Tensor:
    """Section by section, no function of the library."""
    c1, c2, s1, s2 = codes
    tau, mine = 0.5, target == 1
    c1, c2 = F.normalize(c1, dim=1), F.normalize(c2, dim=1)
    p1, p2 = s1 * mine[:, None], s2 * mine[:, None]
    common = (c1 - c2).square().sum(1).mean() + loop_unif(c1, tau) + loop_unif(c2, tau)
    salient = (s1 - s2)[mine].square().sum(1).mean() + loop_unif(p1, tau) + loop_unif(p2, tau)
    null = (s1[~mine].square().sum(1).mean() + s2[~mine].square().sum(1).mean()) / 2
    return common + beta_s * salient + beta_0 * null + lam * (loop_jem(c1, p1, tau) + loop_jem(c2, p2, tau)) / 2


@pytest.mark.parametrize("block", [1, 4, 64])
@pytest.mark.parametrize("tau", [0.5, 0.05, 2.0])
def test_single_functions_are_the_double_loop(block: int, tau: float) -> None:
    a, b = codes(1).requires_grad_(), codes(2)
    for mine, theirs in (
        (uniformity(a, temperature=tau, block=block), loop_unif(a, tau)),
        (joint_entropy(a, b, temperature=tau, block=block), loop_jem(a, b, tau)),
    ):
        assert mine.item() == pytest.approx(theirs.item(), rel=1e-11)
        for x, y in zip(torch.autograd.grad(mine, a), torch.autograd.grad(theirs, a), strict=True):
            assert torch.allclose(x, y, rtol=1e-10, atol=1e-13)


def test_the_total_is_the_plain_loop_with_its_gradients() -> None:
    inputs, target = halves()
    weights: Any = {"beta_s": 3.0, "beta_0": 7.0, "lam": 2.0}
    mine, theirs = terms_of(inputs, target, **weights).total, loop_total(inputs, target, **weights)
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-12)
    for x, y in zip(torch.autograd.grad(mine, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        assert torch.allclose(x, y, rtol=1e-10, atol=1e-12)


def test_gradients_agree_with_differences() -> None:
    inputs, target = halves(5)
    forms: Any = ("code", "paper")
    for salient in forms:
        assert torch.autograd.gradcheck(
            lambda *x, form=salient: terms_of(x, target, beta_s=2, beta_0=3, lam=1, salient=form, block=2).total,
            inputs,
            fast_mode=True,
        )
    c, d, s, _, _ = views(1, 5)
    labels = codes(9, 5)
    kinds = (True, *[False] * (D - 1))
    assert torch.autograd.gradcheck(
        lambda c, d, s: sepclr_supervised(c, d, s, target, labels, kinds, beta_s=2, lam=1, block=2).total,
        (c, d, s),
        fast_mode=True,
    )
    assert torch.autograd.gradcheck(lambda c, s: kernel_mutual_information(c, s, block=2), (c, s), fast_mode=True)


def test_align_and_uniformity() -> None:
    """Properties 1 and 9."""
    a, b = codes(1), codes(2)
    assert float(align(a, a)) == 0 < float(align(a, b))
    assert float(align(3 * a, 3 * b)) == pytest.approx(9 * float(align(a, b)))
    assert float(align(a, b)) == pytest.approx(float((a - b).square().sum(1).mean()))
    assert float(uniformity(a[:1].repeat(N, 1))) == pytest.approx(0, abs=1e-14)
    unit = F.normalize(a, dim=1)
    for tau in (0.1, 0.5, 3.0):
        assert -2 / tau <= float(uniformity(unit, temperature=tau)) <= 0
    by_row = [torch.stack([k(a[i], a[j], 0.5) for j in range(N) if j != i]).mean().log() for i in range(N)]
    assert float(uniformity(a)) >= float(torch.stack(by_row).mean())


def test_joint_entropy() -> None:
    """Properties 2, 4 and 5."""
    c, s, const = codes(1), codes(2), torch.zeros(N, 1).double()
    value = float(joint_entropy(c, s))
    assert -math.log(N) <= value <= 0
    assert float(joint_entropy(c[:1].repeat(N, 1), const)) == pytest.approx(0, abs=1e-14)
    assert float(joint_entropy(1e3 * c, s)) == pytest.approx(-math.log(N), rel=1e-12)
    assert value <= min(float(joint_entropy(c, const)), float(joint_entropy(const, s)))
    assert float(joint_entropy(c, c, temperature=0.7)) == pytest.approx(
        float(joint_entropy(c, const, temperature=0.35)), rel=1e-12
    )
    assert float(joint_entropy(s, c)) == pytest.approx(value, rel=1e-12)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    turn = torch.linalg.qr(codes(5, D)).Q
    for other in (joint_entropy(c[order], s[order]), joint_entropy(c @ turn + 5, s - 100)):
        assert float(other) == pytest.approx(value, rel=1e-10)


def test_kernel_mutual_information() -> None:
    """Properties 3 and 11."""
    u, v = codes(1, 3), codes(2, 4)
    c, s = u.repeat_interleave(4, 0), v.repeat(3, 1)
    assert float(kernel_mutual_information(c, s)) == pytest.approx(0, abs=1e-12)
    c, const = codes(3), torch.zeros(N, 1).double()
    same = joint_entropy(c, const, temperature=0.25) - 2 * joint_entropy(c, const, temperature=0.5)
    assert float(kernel_mutual_information(c, c)) == pytest.approx(float(same), rel=1e-12)


def test_background_rows_keep_uniformity_above_a_floor() -> None:
    """Property 5: reached as targets go to infinity."""
    *_, held, _, target = views()
    s1, n0 = held.detach(), int((target == 0).sum())
    floor = math.log(n0 * (n0 - 1) / (N * (N - 1)))
    assert float(uniformity(pinned(s1, target))) > floor
    assert float(uniformity(pinned(1e2 * s1, target))) == pytest.approx(floor, rel=1e-10)


@pytest.mark.parametrize("lam", [0.0, 3.0])
def test_a_background_code_feels_the_null_term_alone(lam: float) -> None:
    """Property 6: ∂L/∂s1_i = β_0 s1_i / (2τ n0), zero where β_0 is."""
    c1, c2, s1, s2, target = views()
    rest = target == 0
    for beta_0 in (0.0, 7.0):
        total = sepclr(c1, c2, s1, s2, target, beta_s=2, beta_0=beta_0, lam=lam).total
        for s in (s1, s2):
            (gradient,) = torch.autograd.grad(total, s, retain_graph=True)
            assert torch.allclose(gradient[rest], beta_0 * s[rest] / int(rest.sum()), rtol=1e-12, atol=0)


def test_what_the_total_does_not_depend_on() -> None:
    """Property 7."""
    c1, c2, s1, s2, target = views()
    (alone,) = torch.autograd.grad(sepclr(c1, c2, s1, s2, target, lam=0).total, c1)
    other = sepclr(c1, c2, 5 * s2, s1, 1 - target, beta_s=1, beta_0=2, lam=0).total
    assert torch.equal(alone, torch.autograd.grad(other, c1)[0])
    plain = sepclr(c1, c2, s1, s2, target).total.item()
    assert sepclr(c2, c1, s2, s1, target).total.item() == pytest.approx(plain, rel=1e-12)
    scale = torch.linspace(0.5, 3, N).double()[:, None]
    assert sepclr(scale * c1, c2, s1, s2, target).total.item() == pytest.approx(plain, rel=1e-12)
    assert abs(sepclr(c1, c2, 1.1 * s1, s2, target).total.item() - plain) > 1


@pytest.mark.parametrize("salient", ["code", "paper"])
@pytest.mark.parametrize("memberships", [[0] * 5, [1] * 5, [0, 1], [1], [0], [], [1, 1, 0], [0, 0, 1]])
def test_batches_without_background_targets_or_pairs_are_finite(memberships: list[int], salient: Any) -> None:
    inputs: Any = [codes(k, len(memberships)).requires_grad_() for k in range(4)]
    target = torch.tensor(memberships, dtype=torch.int64)
    terms = terms_of(inputs, target, salient=salient)
    gradients = torch.autograd.grad(terms.total, inputs)
    assert all(bool(term.isfinite()) for term in terms)
    assert all(bool(g.isfinite().all()) for g in gradients)
    if 0 not in memberships:
        assert terms.null.item() == 0
    if 1 not in memberships:
        assert terms.salient_align.item() == 0


def test_without_background_the_salient_part_is_the_ordinary_contrast() -> None:
    c1, c2, s1, s2, _ = views()
    terms = sepclr(c1, c2, s1, s2, torch.ones(N, dtype=torch.int64))
    assert terms.salient_align.item() == pytest.approx(align(s1, s2).item())
    assert terms.salient_unif.item() == pytest.approx((uniformity(s1).item() + uniformity(s2).item()) / 2)
    per_anchor = [torch.stack([k(s1[i], s1[j], 0.5) for j in range(N) if j != i]).mean().log().item() for i in range(N)]
    ones = torch.ones(N, dtype=torch.int64)
    assert uniformity_by_anchor(s1, ones).item() == pytest.approx(sum(per_anchor) / N, rel=1e-12)


def test_uniformity_by_anchor_is_the_double_loop() -> None:
    *_, s, _, target = views()
    mine, n0 = [i for i in range(N) if target[i]], int((target == 0).sum())
    rows = []
    for i in mine:
        sums = n0 * k(s[i], torch.zeros(D), 0.5) + sum(k(s[i], s[j], 0.5) for j in mine if j != i)
        rows.append(torch.log(sums / (N - 1)))
    assert uniformity_by_anchor(s, target, block=2).item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-12)


def test_rows_that_coincide_have_finite_gradients() -> None:
    """Property 8."""
    c1, c2, _, _, target = views()
    s1, s2 = (torch.zeros(N, D, dtype=torch.float64, requires_grad=True) for _ in range(2))
    terms = sepclr(c1, c2, s1, s2, target)
    assert (terms.salient_align.item(), terms.salient_unif.item(), terms.null.item()) == (0, 0, 0)
    assert all(float(g.abs().max()) == 0 for g in torch.autograd.grad(terms.total, (s1, s2)))


def test_float32_gradients_of_near_rows_are_those_of_float64() -> None:
    """Distances of matrix products in float32 were 2.5 % off (docs/methods/sepclr.md)."""
    base = 3 + 0.01 * codes(7, 64)
    exact, single = base.clone().requires_grad_(), base.float().requires_grad_()
    const = torch.zeros(64, 1)
    (a,) = torch.autograd.grad(joint_entropy(const.double(), exact, temperature=1e-3), exact)
    (b,) = torch.autograd.grad(joint_entropy(const, single, temperature=1e-3), single)
    assert float((a - b).abs().max() / a.abs().max()) < 1e-4


def test_far_rows_do_not_underflow() -> None:
    s = (1e3 * codes(1)).float().requires_grad_()
    assert uniformity(s).item() < -1e4
    assert bool(torch.autograd.grad(uniformity(s), s)[0].isfinite().all())


def test_half_precision_is_computed_in_float32() -> None:
    c1, c2, s1, s2, target = views()
    half: Any = [x.detach().half() for x in (c1, c2, s1, s2)]
    assert all(term.dtype == torch.float32 for term in terms_of(half, target))


def test_alignment_of_attributes() -> None:
    """Property 10, and labels that are not known."""
    s = codes(1)[:, 0]
    label = torch.arange(N).double() % 3
    pairs = [(i, j) for i in range(N) for j in range(i + 1, N)]
    wanted = sum(float((s[i] - s[j]) ** 2) for i, j in pairs if label[i] == label[j]) / len(pairs)
    assert float(attribute_alignment(s, label, discrete=True, block=3)) == pytest.approx(wanted, rel=1e-12)
    flat = attribute_alignment(s, 1e-9 * label, discrete=False)
    assert float(flat) == pytest.approx(2 * float(s.var()), rel=1e-9)
    some = label.clone()
    some[:4] = torch.nan
    known = attribute_alignment(s[4:], label[4:], discrete=True)
    assert float(attribute_alignment(s, some, discrete=True)) == float(known)
    assert float(attribute_alignment(s, torch.full_like(label, torch.nan), discrete=True)) == 0


def test_wrong_shapes_are_named() -> None:
    c1, c2, s1, s2, target = views()
    with pytest.raises(ValueError, match="positive"):
        align(c1, c2, temperature=0)
    with pytest.raises(ValueError, match="one shape"):
        align(c1, c2[:3])
    with pytest.raises(ValueError, match="each row"):
        joint_entropy(c1, s1[:3])
    with pytest.raises(ValueError, match="membership"):
        sepclr(c1, c2, s1, s2, target[:3])
    with pytest.raises(ValueError, match="1 \\(target\\) or 0"):
        sepclr(c1, c2, s1, s2, target + 1)
    with pytest.raises(ValueError, match="one attribute"):
        sepclr_supervised(c1, c2, s1, target, torch.zeros(N, 2), (True, False))
