"""COCONUT's losses: plain-loop oracles in float64, and the properties of spec section 12."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from holdfast.methods.losses.distillation import token_kd
from holdfast.methods.losses.multimodal import multimodal
from holdfast.methods.losses.nspt import nspt
from holdfast.methods.losses.supcon import supcon
from holdfast.methods.losses.transcription import transcription
from torch import Tensor


def oracle_nspt(
    s: Tensor, te: Tensor, y: list[int], memory: list[bool], tau: float, denominator: str, own: bool
) -> tuple[float, int]:
    a = [row / max(row.norm().item(), 1e-12) for row in s]
    b = [row / max(row.norm().item(), 1e-12) for row in te]
    total, count = 0.0, 0
    for k in range(len(y)):
        if not memory[k]:
            continue
        positive = [p for p in range(len(y)) if y[p] == y[k] and (own or p != k)]
        allowed = {
            "all": list(range(len(y))),
            "others": [i for i in range(len(y)) if i != k],
            "new": [i for i in range(len(y)) if not memory[i]],
            "negatives": [i for i in range(len(y)) if y[i] != y[k]],
        }[denominator]
        if not positive or not allowed:
            continue
        bottom = math.log(sum(math.exp(float(a[k] @ a[i]) / tau) for i in allowed))
        total += sum(bottom - float(a[k] @ b[p]) / tau for p in positive) / len(positive)
        count += 1
    return (total / count if count else 0.0), count


def random_case(r: random.Random) -> tuple[Tensor, Tensor, list[int], list[bool]]:
    n = r.choice([1, 1, 2, 3, 5, 9])
    classes = r.choice([1, 2, 4])
    y = [r.randrange(classes) for _ in range(n)]
    memory = [c % 2 == 0 if r.random() < 0.9 else r.random() < 0.5 for c in y]
    if r.random() < 0.15:
        memory = [r.random() < 0.5] * n
    g = torch.Generator().manual_seed(r.randrange(10**6))
    return torch.randn(n, 4, generator=g).double(), torch.randn(n, 4, generator=g).double(), y, memory


def test_nspt_equals_plain_loops() -> None:
    r = random.Random(1)
    empty = 0
    for number in range(240):
        s, te, y, memory = random_case(r)
        denominator: Any = ("all", "others", "new", "negatives")[number % 4]
        own = number % 3 > 0
        wanted, count = oracle_nspt(s, te, y, memory, 0.3, denominator, own)
        empty += count == 0
        s.requires_grad_()
        loss = nspt(
            s,
            te,
            torch.tensor(y),
            torch.tensor(memory),
            temperature=0.3,
            denominator=denominator,
            include_self_positive=own,
        )
        assert loss.item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        loss.backward()  # a zero has a graph too
        assert s.grad is not None
        assert bool(s.grad.isfinite().all())
        batch = nspt(
            s.detach(),
            te,
            torch.tensor(y),
            torch.tensor(memory),
            temperature=0.3,
            denominator=denominator,
            include_self_positive=own,
            reduction="batch",
        )
        assert batch.item() == pytest.approx(wanted * count / len(y), rel=1e-9, abs=1e-12)
    assert 20 < empty < 200


def test_multimodal_equals_plain_loops() -> None:
    r = random.Random(2)
    for number in range(240):
        audio, text, y, memory = random_case(r)
        anchors: Any = ("new", "all")[number % 2]
        a, b = (x / x.norm(dim=1, keepdim=True) for x in (audio, text))
        n, total, count = len(y), 0.0, 0
        for k in range(n):
            if anchors == "new" and memory[k]:
                continue
            positive = [p for p in range(n) if y[p] == y[k]]
            for u, v in ((a, b), (b, a)):
                bottom = math.log(sum(math.exp(float(u[k] @ v[i]) / 0.2) for i in range(n)))
                total += sum(bottom - float(u[k] @ v[p]) / 0.2 for p in positive) / len(positive)
            count += 1
        loss = multimodal(
            audio.requires_grad_(), text, torch.tensor(y), torch.tensor(memory), temperature=0.2, anchors=anchors
        )
        assert loss.item() == pytest.approx(total / count if count else 0.0, rel=1e-9, abs=1e-12)
        loss.backward()


def batch(n: int = 10, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 5
    return torch.randn(n, 6, generator=g).double(), torch.randn(n, 6, generator=g).double(), y, y < 2


def test_permutation_and_relabelling_change_nothing() -> None:
    s, te, y, memory = batch()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(5))
    for loss in (nspt, multimodal):
        value = loss(s, te, y, memory)
        assert torch.allclose(loss(s[order], te[order], y[order], memory[order]), value, rtol=1e-12)
        assert torch.allclose(loss(s, te, 17 - 3 * y, memory), value, rtol=1e-12)


def test_small_temperature_is_stable_in_float32() -> None:
    s, te, y, memory = batch(64)
    for loss in (nspt, multimodal):
        exact = loss(s, te, y, memory, temperature=0.05).item()
        assert loss(s.float(), te.float(), y, memory, temperature=0.05).item() == pytest.approx(exact, rel=1e-4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert loss(s.float(), te.float(), y, memory, temperature=0.05).item() == pytest.approx(exact, rel=1e-4)


def test_no_gradient_to_the_teacher_and_new_rows_are_pushed_away() -> None:
    s, te, y, memory = batch()
    s.requires_grad_()
    te.requires_grad_()
    nspt(s, te, y, memory).backward()
    assert te.grad is None
    assert s.grad is not None
    assert bool((s.grad[~memory].abs().sum(1) > 0).all())


def test_equal_networks_make_nspt_and_ntpt_equal() -> None:
    s, _, y, memory = batch()
    assert torch.allclose(nspt(s, s, y, memory), nspt(s, s, y, memory, negatives="teacher"), rtol=1e-12)


def test_bounds_and_corners() -> None:
    for seed in range(20):
        s, te, y, memory = batch(seed=seed)
        assert nspt(s, te, y, memory, temperature=0.5).item() >= math.log(1 + 9 * math.exp(-4)) - 1e-12
    one = (s[:1], te[:1], y[:1])
    assert nspt(*one, torch.tensor([True]), negatives="teacher").item() == pytest.approx(0, abs=1e-12)
    assert multimodal(*one, torch.tensor([False])).item() == pytest.approx(0, abs=1e-12)
    assert nspt(s, te, y, torch.zeros_like(memory)).item() == 0
    assert multimodal(s, te, y, torch.ones_like(memory)).item() == 0
    with pytest.raises(ValueError, match="temperature"):
        nspt(s, te, y, memory, temperature=0)
    with pytest.raises(ValueError, match="is_memory must be bool"):
        nspt(s, te, y, y)
    with pytest.raises(ValueError, match="needs two"):
        multimodal(s, te[:3], y, memory)


def test_shared_text_vectors_give_the_closed_form() -> None:
    audio, _, y, memory = batch()
    classes = torch.nn.functional.normalize(
        torch.randn(5, 6, generator=torch.Generator().manual_seed(3)).double(), dim=1
    )
    a = torch.nn.functional.normalize(audio, dim=1)
    both = multimodal(audio, classes[y], y, memory, temperature=0.2).item()
    counts = y.bincount()
    forward = -(a * classes[y]).sum(1) / 0.2 + ((a @ classes.T / 0.2).exp() * counts).sum(1).log()
    similarity = classes[y] @ a.T / 0.2
    same = y[:, None] == y[None]
    backward = -(similarity.log_softmax(1) * same / same.sum(1, keepdim=True)).sum(1)
    assert both == pytest.approx((forward + backward)[~memory].mean().item(), rel=1e-12)


def test_distillation_of_equal_models() -> None:
    logits = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(0)).double()
    y = torch.tensor([[4, 5, 6, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert token_kd(logits, logits, y, form="kl").item() == pytest.approx(0, abs=1e-12)
    p = logits[y != 0].softmax(-1)
    assert token_kd(logits, logits, y).item() == pytest.approx(-(p * p.log()).sum(-1).mean().item(), rel=1e-12)
    nothing = transcription(logits.requires_grad_(), torch.zeros_like(y))
    nothing.backward()
    assert nothing.item() == 0


def classic_supcon(z: Tensor, y: Tensor, tau: float) -> Tensor:
    z = torch.nn.functional.normalize(z, dim=1)
    s = z @ z.T / tau
    own = torch.eye(len(y), dtype=torch.bool)
    log_p = s - s.masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
    positive = (y[:, None] == y[None]) & ~own
    keep = positive.sum(1) > 0
    return -((log_p * positive).sum(1)[keep] / positive.sum(1)[keep]).mean()


@pytest.mark.parametrize("block", [1, 7, 64])
def test_supcon_in_blocks_equals_the_matrix_form(block: int) -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.randn(40, 8, generator=g).double().requires_grad_()
    y = torch.randint(0, 15, (40,), generator=g)
    mine, theirs = supcon(z, y, temperature=0.1, block=block), classic_supcon(z, y, 0.1)
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-9)
    for a, b in zip(torch.autograd.grad(mine, z), torch.autograd.grad(theirs, z), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    lonely = supcon(z, torch.arange(40))
    lonely.backward()
    assert lonely.item() == 0
    assert supcon(z[:0], y[:0]).item() == 0
