"""EWC: the Fisher information against one row after another, the joined penalty against one penalty an experience."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.continual.ewc import EWC
from torch.nn import functional as F

from .miniature import context, made, mixed, scores, strategy, view


def test_the_fisher_information_is_the_mean_squared_gradient_of_each_row() -> None:
    method = made(EWC)
    fisher = method.fisher(view(0))
    expected = method.anchors.zeros()
    for row in range(16):
        method.zero_grad()
        F.cross_entropy(scores(method.eval(), torch.tensor([row])), torch.tensor([row // 8])).backward()
        for name, p in method.anchors.parameters_by_name().items():
            expected[name] += p.grad**2 / 16
    assert fisher.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(fisher[name], value, rtol=1e-4, atol=1e-10), name
    assert float(sum(value.sum() for value in fisher.values())) > 0
    few = made(EWC, fisher_rows=4).fisher(view(0))
    assert not torch.allclose(few["head.bias"], fisher["head.bias"])


def test_two_experiences_pull_as_two_penalties() -> None:
    """The value differs by a constant, the gradient does not."""
    method = made(EWC, lambda_ewc=3.0)
    held = []
    for experience in (0, 1):
        with torch.no_grad():
            for p in method.model.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(experience)))
        held.append((method.fisher(view(experience)), method.anchors.values()))
        method.after_experience(view(experience))
    with torch.no_grad():
        for p in method.model.parameters():
            p.mul_(1.1)
    names = list(method.anchors.parameters_by_name())
    parameters = list(method.anchors.parameters_by_name().values())
    ours = torch.autograd.grad(1.5 * method.anchors.penalty(), parameters)
    pairs = list(zip(names, parameters, strict=True))
    each = [(fisher[n] * (p - anchor[n]) ** 2).sum() for fisher, anchor in held for n, p in pairs]
    two = torch.stack(each).sum()
    for name, mine, theirs in zip(names, ours, torch.autograd.grad(1.5 * two, parameters), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-8), name


def test_the_loss_of_a_step() -> None:
    method = made(EWC, lambda_ewc=10.0).eval()
    batch = mixed(view(0), [1, 9], [])
    task = F.cross_entropy(scores(method, torch.tensor([1, 9])), torch.tensor([0, 1]))
    assert torch.equal(method.training_step(batch, context(view(0)))["loss"], task), "nothing to hold to yet"
    method.after_experience(view(0))
    importance = method.anchors.tables["importance"]["head.weight"].clone()
    with torch.no_grad():
        method.model.head.weight.add_(0.1)
    step = method.eval().training_step(mixed(view(1), [17, 25], []), context(view(1)))
    assert float(step["loss/penalty"].detach()) == pytest.approx(5.0 * 0.01 * float(importance.sum()), rel=1e-4)
    assert float(step["loss"].detach()) == pytest.approx(float((step["loss/task"] + step["loss/penalty"]).detach()))


def test_a_strong_penalty_keeps_the_weights() -> None:
    moved = []
    for strength in (0.0, 1e5):
        driver, experiences = strategy(EWC, epochs=15, lambda_ewc=strength, lr=5e-3)
        driver.train(experiences[0])
        method: Any = driver.method
        flat = {name: torch.full_like(p, 1e-3) for name, p in method.anchors.parameters_by_name().items()}
        method.anchors.tables["importance"] = flat
        before = method.model.head.weight.detach().clone()
        driver.train(experiences[1])
        moved.append(float((method.model.head.weight.detach() - before).norm()))
    assert moved[1] < 0.2 * moved[0]
