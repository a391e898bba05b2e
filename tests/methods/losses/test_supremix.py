"""SupReMix's loss: explicit mixtures in plain loops, and what must hold of it."""

from __future__ import annotations

import importlib
import math
import random
from typing import Any

import pytest
import torch
from holdfast.methods.losses.supcon import supcon
from holdfast.methods.losses.supremix import CHUNK, beta_draws, supremix
from torch import Tensor
from torch.nn import functional as F


def weigh(dy: float, kind: str) -> float:
    return {"none": 1, "L1_inv": abs(dy) + 1, "L2_inv": dy * dy + 1, "L1": 1 / (abs(dy) + 1), "L2": 1 / (dy * dy + 1)}[
        kind
    ]


def explicit(
    z: Tensor,
    y: Tensor,
    *,
    temperature: float,
    window: float,
    mix_neg: bool = True,
    mix_pos: bool = True,
    weight: str = "L1_inv",
    lam: Tensor | None = None,
    detach: bool = True,
    renormalise: bool = False,
    official: bool = False,
    parts: bool = False,
) -> tuple[Tensor, Any]:
    """The loss of every anchor with every mixture built, one at a time; None for an anchor without positives."""
    both = y.repeat(len(z) // len(y)).tolist()
    n = len(both)
    fixed = z.detach() if detach else z

    def mixture(share: float, a: int, b: int) -> Tensor:
        m = share * fixed[a] + (1 - share) * fixed[b]
        return m / m.norm().clamp(min=1e-6) if renormalise else m

    losses, logs = [], []
    for i in range(n):
        real = [(float(weigh(both[i] - both[a], weight)), z[i] @ z[a] / temperature) for a in range(n) if a != i]
        positive = [z[i] @ z[a] / temperature for a in range(n) if a != i and both[a] == both[i]]
        mixed: list[tuple[float, Tensor]] = []
        mixed_positive = []
        for k in range(n):
            if mix_neg and both[k] != both[i]:
                assert lam is not None
                share = float(lam[i, k])
                mixed_label = share * both[i] + (1 - share) * both[k]
                dy = both[i] - mixed_label
                w = (dy + 1) ** 2 + 1 if official and weight == "L2_inv" else weigh(dy, weight)
                mixed.append((w, z[i] @ mixture(share, i, k) / temperature))
        for j in range(n):
            for k in range(n):
                if mix_pos and 0 < both[i] - both[j] < window and 0 < both[k] - both[i] < window:
                    share = (both[k] - both[i]) / (both[k] - both[j])
                    s = z[i] @ mixture(share, j, k) / temperature
                    mixed_positive.append(s)
                    mixed.append((2.0 if official and weight == "L2_inv" else 1.0, s))
        shift_real = float((z @ z[i]).detach().max()) / temperature if official else 0.0
        shift_mixed = max([0.0, *(float(s.detach()) for _, s in mixed)]) if official else 0.0
        terms = [math.log(w) + s - shift_real for w, s in real] + [math.log(w) + s - shift_mixed for w, s in mixed]
        top = [s - shift_real for s in positive] + [s - shift_mixed for s in mixed_positive]
        log_z = torch.logsumexp(torch.stack(terms), 0) if terms else z.new_tensor(-torch.inf)
        logs.append(log_z)
        losses.append(log_z - torch.stack(top).mean() if top else None)
    return (torch.stack(logs) if parts else z.new_zeros(0)), losses


def random_case(r: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    n, views = r.choice([1, 2, 3, 4, 6]), r.choice([1, 2, 2])
    g = torch.Generator().manual_seed(r.randrange(10**6))
    z = torch.randn(views * n, 3, generator=g).double()
    if r.random() < 0.8:
        z = F.normalize(z, dim=1)
    kind = r.random()
    y = torch.tensor(
        [r.choice([0.0, 1.0, 2.0, 3.5, 5.0]) if kind < 0.7 else r.uniform(-2, 3) for _ in range(n)]
    ).double()
    if kind > 0.95:
        y = torch.full((n,), 2.0).double()
    return z.requires_grad_(), y, torch.rand(len(z), len(z), generator=g).double()


def test_equals_explicit_mixtures_in_plain_loops() -> None:
    r = random.Random(3)
    empty = with_triples = 0
    for number in range(260):
        z, y, lam = random_case(r)
        options: Any = {
            "temperature": r.choice([0.1, 0.3, 1.0]),
            "window": r.choice([0.5, 1.0, 2.5, 9.0]),
            "mix_neg": r.random() < 0.7,
            "mix_pos": r.random() < 0.7,
            "weight": r.choice(["L1_inv", "L2_inv", "L1", "L2", "none"]),
            "lam": lam,
        }
        detach, renormalise, official = number % 3 > 0, number % 5 == 0, number % 4 == 0
        _, losses = explicit(z, y, **options, detach=detach, renormalise=renormalise, official=official)
        kept = [loss for loss in losses if loss is not None]
        mine = supremix(
            z,
            y,
            **options,
            detach_mixtures=detach,
            renormalise_mixtures=renormalise,
            logit_shift="official" if official else "exact",
        )
        empty += not kept
        wanted = torch.stack(kept).mean() if kept else (z * 0).sum()
        assert mine.item() == pytest.approx(wanted.item(), rel=1e-9, abs=1e-12)
        (a,), (b,) = torch.autograd.grad(mine, z), torch.autograd.grad(wanted, z)
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)
        each = supremix(
            z,
            y,
            **options,
            renormalise_mixtures=renormalise,
            logit_shift="official" if official else "exact",
            reduction="none",
        )
        assert each.tolist() == pytest.approx(
            [0.0 if loss is None else loss.item() for loss in losses], rel=1e-9, abs=1e-12
        )
        with_triples += len(y.unique()) > 2 and options["mix_pos"]
    assert empty > 20
    assert with_triples > 50


def batch(n: int = 10, seed: int = 0, views: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    z = F.normalize(torch.randn(views * n, 6, generator=g).double(), dim=1)
    return z, torch.randint(0, 9, (n,), generator=g).double(), torch.rand(views * n, views * n, generator=g).double()


def test_chunks_give_the_same_value_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y, lam = batch(14)
    results = []
    for size in (CHUNK, 37, 1):
        monkeypatch.setattr(importlib.import_module("holdfast.methods.losses.supremix"), "CHUNK", size)
        leaf = z.clone().requires_grad_()
        loss = supremix(leaf, y, lam=lam)
        loss.backward()
        results.append((loss.item(), leaf.grad))
    for value, gradient in results[1:]:
        assert value == pytest.approx(results[0][0], rel=1e-12)
        assert gradient is not None
        assert torch.allclose(gradient, results[0][1], rtol=1e-10, atol=1e-13)  # type: ignore[arg-type]


def test_relabelling() -> None:
    """SupCon does not depend on how labels are named; SupReMix does, and not on a shift or a mirror of them."""
    z, y, lam = batch()
    value = supremix(z, y, lam=lam).item()
    assert supremix(z, y + 17, lam=lam).item() == pytest.approx(value, rel=1e-12)
    assert supremix(z, -y, lam=lam).item() == pytest.approx(value, rel=1e-12)
    assert supremix(z, 2 * y, lam=lam, window=10).item() != pytest.approx(value, rel=1e-3)
    bare = supremix(z, y, lam=lam, weight="none").item()
    assert supremix(z, 2 * y, lam=lam, window=10, weight="none").item() == pytest.approx(bare, rel=1e-12)
    plain: Any = {"mix_neg": False, "mix_pos": False, "weight": "none"}
    assert supremix(z, (y * 7919) % 31, **plain).item() == pytest.approx(supremix(z, y, **plain).item(), rel=1e-12)


def test_push_grows_with_label_distance() -> None:
    """dl_i/ds_ia = w_ia e^{s_ia} / Z_i: at equal similarity the force is proportional to 1 + |Δy|."""
    z = torch.eye(4, dtype=torch.float64).requires_grad_()  # all similarities 0
    y = torch.tensor([0.0, 0.0, 2.0, 7.0])
    each = supremix(z, y, mix_neg=False, mix_pos=False, temperature=1.0, reduction="none")
    (gradient,) = torch.autograd.grad(each[0], z)
    assert gradient[0, 3].item() / gradient[0, 2].item() == pytest.approx(8 / 3, rel=1e-12)


def test_coefficients_at_their_ends() -> None:
    z, y, lam = batch(6)
    z0 = explicit(z, y, temperature=0.3, window=5, mix_pos=False, lam=torch.zeros_like(lam), parts=True)[0].exp()
    plain = explicit(z, y, temperature=0.3, window=5, mix_pos=False, mix_neg=False, parts=True)[0].exp()
    distance = (y.repeat(2)[:, None] - y.repeat(2)[None]).abs()
    negatives = ((z @ z.T / 0.3).exp() * (distance + 1) * (distance > 0)).sum(1)
    assert torch.allclose(z0, plain + negatives)  # λ = 0: the real negatives count twice
    zero = supremix(z, y, mix_pos=False, lam=torch.zeros_like(lam), temperature=0.3, reduction="none")
    base = supremix(z, y, mix_pos=False, mix_neg=False, temperature=0.3, reduction="none")
    assert torch.allclose(zero - base, z0.log() - plain.log())
    one = supremix(z, y, mix_pos=False, lam=torch.ones_like(lam), temperature=0.3, reduction="none")
    n_negative = (distance > 0).sum(1)
    assert torch.allclose(
        one - base, (plain + n_negative * math.exp(1 / 0.3)).log() - plain.log()
    )  # λ = 1: logit 1/τ, weight 1


def test_window() -> None:
    z, y, lam = batch(8)
    y = torch.tensor([0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 10.0, 12.0])
    alone = supremix(z, y, lam=lam, mix_pos=False).item()
    assert supremix(z, y, lam=lam, window=2.0).item() == alone  # strict: |Δy| = window is outside
    assert supremix(z, y, lam=lam, window=2.0001).item() != pytest.approx(alone, rel=1e-6)


def test_symmetries() -> None:
    z, y, lam = batch(9)
    value = supremix(z, y, lam=lam).item()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    both = torch.cat([order, order + 9])
    assert supremix(z[both], y[order], lam=lam[both][:, both]).item() == pytest.approx(value, rel=1e-12)
    swapped = torch.cat([torch.arange(9, 18), torch.arange(9)])
    assert supremix(z[swapped], y, lam=lam[swapped][:, swapped]).item() == pytest.approx(value, rel=1e-12)


def test_pools_are_separate_batches() -> None:
    z, y, lam = batch(12)
    parts = [torch.cat([torch.arange(4 * q, 4 * q + 4), 12 + torch.arange(4 * q, 4 * q + 4)]) for q in range(3)]
    wanted = [supremix(z[p], y[4 * q : 4 * q + 4], lam=lam[p][:, p]).item() for q, p in enumerate(parts)]
    assert supremix(z, y, lam=lam, pool=3).item() == pytest.approx(sum(wanted) / 3, rel=1e-12)
    g = torch.Generator().manual_seed(3)
    drawn = [supremix(z[p], y[4 * q : 4 * q + 4], generator=g).item() for q, p in enumerate(parts)]
    pooled = supremix(z, y, generator=torch.Generator().manual_seed(3), pool=3).item()
    assert pooled == pytest.approx(sum(drawn) / 3, rel=1e-12)


def test_gradient_reaches_mixtures_only_when_asked() -> None:
    z, y, lam = batch(5)
    options: Any = {"lam": lam, "window": 4.0, "temperature": 0.5}
    assert torch.autograd.gradcheck(lambda t: supremix(t, y, detach_mixtures=False, **options), z.requires_grad_())
    free = torch.autograd.gradcheck(
        lambda t: supremix(t, y, detach_mixtures=False, renormalise_mixtures=True, **options), z
    )
    assert free
    a = torch.autograd.grad(supremix(z, y, **options), z)[0]
    b = torch.autograd.grad(supremix(z, y, detach_mixtures=False, **options), z)[0]
    assert not torch.allclose(a, b)


def test_corners() -> None:
    z, y, lam = batch(4)
    one = z[[0, 4]].clone().requires_grad_()
    loss = supremix(one, y[:1], lam=lam[:2, :2])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)  # one sample, two views
    for rows, labels in ((z[:1], y[:1]), (z[:3], torch.tensor([0.0, 9.0, 20.0])), (z[:0], y[:0])):
        leaf = rows.clone().requires_grad_()
        nothing = supremix(leaf, labels, lam=lam[: len(rows), : len(rows)])
        nothing.backward()  # no anchor has a positive: a zero with a graph
        assert nothing.item() == 0
        assert leaf.grad is not None
    equal = torch.full((4,), 3.0)
    assert supremix(z, equal, lam=lam).item() == pytest.approx(
        supcon(z, equal.repeat(2), temperature=0.3).item(), rel=1e-12
    )
    assert supremix(z.half(), y, lam=lam).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert supremix(z.float(), y, lam=lam).item() == pytest.approx(supremix(z, y, lam=lam).item(), rel=1e-4)


def test_small_temperature_is_finite_in_float32() -> None:
    z, y, lam = batch(16)
    for shift in ("exact", "official"):
        options: Any = {"lam": lam, "temperature": 0.02, "logit_shift": shift}
        leaf = z.float().requires_grad_()
        loss = supremix(leaf, y, **options)
        loss.backward()
        assert loss.item() == pytest.approx(supremix(z, y, **options).item(), rel=1e-4)
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())


def test_draws_come_from_the_generator() -> None:
    z, y, _ = batch()
    values = [supremix(z, y, generator=torch.Generator().manual_seed(s)).item() for s in (5, 5, 6)]
    assert values[0] == values[1] != values[2]
    torch.manual_seed(0)
    before = torch.get_rng_state()
    supremix(z, y, generator=torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())
    drawn = beta_draws((200, 200), 2, 8, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(0.2, abs=0.003)
    assert drawn.var().item() == pytest.approx(0.2 * 0.8 / 11, rel=0.03)


def test_cap_of_triples() -> None:
    z, y, lam = batch(12)
    full = supremix(z, y, lam=lam, reduction="none")
    n = y.repeat(2)
    gap = n[:, None] - n[None]
    counts = ((gap > 0) & (gap < 5)).sum(1) * ((gap < 0) & (gap > -5)).sum(1)
    cap = int(counts.sort().values[-4])
    g = torch.Generator().manual_seed(0)
    some = supremix(z, y, lam=lam, max_triples_per_anchor=cap, generator=g, reduction="none")
    assert torch.allclose(some[counts <= cap], full[counts <= cap], rtol=1e-12)  # nothing is drawn for these
    assert not torch.allclose(some[counts > cap], full[counts > cap], rtol=1e-9)
    assert torch.equal(full, supremix(z, y, lam=lam, max_triples_per_anchor=10**6, generator=g, reduction="none"))
    # unbiased where the loss is linear in the triples: the positive term (Z without them)
    anchor = int(counts.argmax())
    g = torch.Generator().manual_seed(1)
    positive = [
        supremix(z, y, mix_neg=False, max_triples_per_anchor=20, generator=g, reduction="none")[anchor]
        for _ in range(200)
    ]
    spread = torch.stack(positive)
    exact = supremix(z, y, mix_neg=False, reduction="none")[anchor]
    assert abs(spread.mean() - exact) < 4 * spread.std() / math.sqrt(200) + 0.02 * exact.abs()


def test_mixture_logits_lie_between_their_ends() -> None:
    """On the mixtures themselves, for features affine in the label and on the sphere."""
    z, _, lam = batch(8)
    s = z @ z.T
    mixed = lam * s.diagonal()[:, None] + (1 - lam) * s
    assert bool((mixed >= s - 1e-12).all())
    line = torch.linspace(0, 1, 5).double()[:, None] * torch.tensor([[1.0, 2.0]]).double() + 1
    labels = torch.linspace(0, 4, 5).double()
    # affine in y: every mix-pos mixture equals the anchor, so each mixed logit is |z_i|²/τ
    for i, j, k in ((1, 0, 2), (2, 0, 3), (3, 1, 4)):
        share = (labels[k] - labels[i]) / (labels[k] - labels[j])
        assert torch.allclose(share * line[j] + (1 - share) * line[k], line[i])
    each = supremix(line, labels, mix_neg=False, temperature=1.0, window=9, weight="none", reduction="none")
    for i in (1, 2, 3):
        n_triples = i * (4 - i)
        bottom = sum(math.exp(float(line[i] @ line[a])) for a in range(5) if a != i) + n_triples * math.exp(
            float(line[i] @ line[i])
        )
        assert each[i].item() == pytest.approx(math.log(bottom) - float(line[i] @ line[i]), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"pool": 3}, "cannot be cut into 3 equal pools"),
        ({"lam": torch.zeros(3, 3)}, "lam must be"),
        ({"lam": None}, "give a generator"),
        ({"y": torch.tensor([1.0, math.nan, 2.0, 3.0])}, "finite"),
        ({"y": torch.tensor([1.0, 2.0, 3.0])}, "no whole number of views"),
        ({"z": torch.zeros(8)}, "must be"),
        ({"max_triples_per_anchor": 1, "y": torch.tensor([0.0, 1.0, 2.0, 3.0])}, "give a generator"),
    ],
)
def test_wrong_input_is_said(change: dict[str, Any], message: str) -> None:
    z, y, lam = batch(4)
    with pytest.raises(ValueError, match=message):
        supremix(**({"z": z, "y": y, "lam": lam} | change))
