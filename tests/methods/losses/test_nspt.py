"""NSPT: a plain-loop oracle in float64, and what must hold of it and of the audio-text loss."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from holdfast.methods.losses.multimodal import multimodal
from holdfast.methods.losses.nspt import nspt
from torch import Tensor

from .cases import batch, random_case


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
