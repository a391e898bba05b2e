"""A-GEM: a step of the strategy moves the weights by the projected gradient, and by nothing else."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.methods.continual.agem import AGEM
from holdfast.methods.losses import gradient_projection
from torch.nn import functional as F

from .miniature import context, made, mixed, scores, strategy, view


def flat_gradient(method: Any, rows: list[int]) -> torch.Tensor:
    loss = F.cross_entropy(scores(method, torch.tensor(rows)), torch.tensor(rows) // 8)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(method.parameters()))])


def test_a_step_moves_by_the_projected_gradient() -> None:
    """Labels of the memory's rows are made those of the new rows' opposite, so that the gradients disagree."""
    driver, experiences = strategy(AGEM, lr=0.1)
    driver.train(experiences[0])
    driver.ensure_view(experiences[1])
    method: Any = driver.method
    stage = method.stages(driver.view)[0]
    driver.begin_stage(stage, driver.view)  # type: ignore[arg-type]
    projected = 0
    for number, batch in enumerate(driver.load(driver.batches_of_epoch(0, 0))):
        new = batch["index"][~batch["is_memory"]].tolist()
        old = batch["index"][batch["is_memory"]].tolist()
        assert new, number
        assert old, number
        gradient, reference = flat_gradient(method, new), flat_gradient(method, old)
        projected += bool(gradient @ reference < 0)
        before = torch.cat([p.detach().flatten().clone() for p in method.parameters()])
        driver.run_step(method.training_step, batch, driver.context(stage, driver.view), True)  # type: ignore[arg-type]
        after = torch.cat([p.detach().flatten() for p in method.parameters()])
        expected = before - 0.1 * gradient_projection(gradient, reference)
        assert torch.allclose(after, expected, atol=1e-6)
    assert projected, "some gradient had to be projected"


def test_a_batch_of_one_kind_is_a_plain_step() -> None:
    method = made(AGEM).eval()
    (update,) = method.training_step(mixed(view(0), [1, 9], []), context(view(0)))
    assert not update.losses
    expected = F.cross_entropy(scores(method, torch.tensor([1, 9])), torch.tensor([0, 1]))
    assert torch.equal(update.loss, expected)
