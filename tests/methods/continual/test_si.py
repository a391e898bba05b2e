"""Synaptic intelligence against a plain loop of the same steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.continual.si import SI

from ..training.families import Recorder
from .miniature import strategy, table


def test_path_importance_and_penalty_are_those_of_a_plain_loop() -> None:
    """Same batches, plain SGD: weights, Ω and the losses of both experiences."""
    watch = Recorder()
    driver, experiences = strategy(SI, watch, lr=0.05, strength=0.5, damping=0.01)
    oracle, _ = strategy(SI, Recorder(), lr=0.05)
    model: Any = oracle.method.model
    omega = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    losses = []
    for experience in experiences:
        view = driver.ensure_view(experience)
        batches = [
            rows
            for epoch in range(2)
            for rows, _ in driver.batches_of_epoch(0, epoch)
            if view.experience == experience.current_experience
        ]
        driver.train(experience)
        start = {name: p.detach().clone() for name, p in model.named_parameters()}
        path = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for rows in batches:
            parameters = dict(model.named_parameters())
            task, _ = model.loss(table().gather(rows))
            penalty = 0.5 * torch.stack([(omega[n] * (p - start[n]) ** 2).sum() for n, p in parameters.items()]).sum()
            own = dict(zip(parameters, torch.autograd.grad(task, list(parameters.values())), strict=True))
            pull = dict(zip(parameters, torch.autograd.grad(penalty, list(parameters.values())), strict=True))
            losses.append(float((task + penalty).detach()))
            with torch.no_grad():
                for name, p in parameters.items():
                    step = -0.05 * (own[name] + pull[name])
                    p += step
                    path[name] -= own[name] * step
        for name, p in model.named_parameters():
            omega[name] += path[name].clamp(min=0) / ((p.detach() - start[name]) ** 2 + 0.01)
    assert [values["loss"] for _, values in watch.lines] == pytest.approx(losses, rel=1e-4)
    method: Any = driver.method
    held = method.anchors.tables["importance"]
    for name, value in omega.items():
        assert torch.allclose(held[name], value, rtol=1e-2, atol=1e-6), name
    assert sum(float(value.sum()) for value in omega.values()) > 0
    assert any("loss/penalty" in values for _, values in watch.lines)
