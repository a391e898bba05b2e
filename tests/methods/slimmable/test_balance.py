"""Balancing of tasks: what each kind does to the gradients."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from holdfast.methods.base import UnfitError, Update
from holdfast.methods.slimmable.balance import Balance, Kind
from torch import Tensor, nn
from torchjd.aggregation import UPGrad

TASKS = ("a", "b")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(4, 3)
        self.heads = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])

    def losses(self) -> dict[str, Tensor]:
        h = self.encoder(torch.ones(2, 4)).tanh()
        return {
            name: (head(h) - k).square().mean() for k, (name, head) in enumerate(zip(TASKS, self.heads, strict=True))
        }


def step(balance: Balance, extra: bool = False, **given: Any) -> tuple[Net, Update]:
    net = Net()
    losses = net.losses()
    added = net.encoder.weight.square().sum() if extra else None
    update = balance.update(losses, list(net.encoder.parameters()), extra=added, **given)
    if update.aggregator is None:
        update.loss.backward()
    else:
        update.aggregator(update.losses, list(net.parameters()))
    return net, update


def flat(net: Net) -> Tensor:
    return torch.cat([p.grad.reshape(-1) for p in net.encoder.parameters() if p.grad is not None])


def rows() -> Tensor:
    net = Net()
    each = [
        torch.autograd.grad(loss, list(net.encoder.parameters()), retain_graph=True) for loss in net.losses().values()
    ]
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in each])


def test_equal_weights_are_the_sum() -> None:
    torch.testing.assert_close(flat(step(Balance("equal", TASKS))[0]), rows().sum(0))


@pytest.mark.parametrize("extra", [False, True])
def test_an_aggregator_sees_the_encoder_alone_and_distillation_is_added(extra: bool) -> None:
    net, _ = step(Balance("upgrad", TASKS), extra)
    wanted = UPGrad()(rows())
    if extra:
        wanted = wanted + torch.cat([2 * net.encoder.weight.detach().reshape(-1), torch.zeros(3)])
    torch.testing.assert_close(flat(net), wanted)
    other, _ = step(Balance("equal", TASKS), extra)
    for head, same in zip(net.heads, other.heads, strict=True):
        torch.testing.assert_close(head.weight.grad, same.weight.grad)


@pytest.mark.parametrize("kind", ["mgda", "pcgrad"])
def test_aggregators_lower_both_losses(kind: Kind) -> None:
    torch.manual_seed(1)  # pcgrad draws the order of the tasks
    direction = flat(step(Balance(kind, TASKS))[0])
    assert bool((rows() @ direction >= -1e-6).all())


def test_uncertainty_learns_log_variances() -> None:
    balance = Balance("uncertainty", TASKS)
    net, update = step(balance)
    losses = torch.stack(list(net.losses().values())).detach()
    torch.testing.assert_close(balance.log_variances.grad, (1 - losses) / 2)
    torch.testing.assert_close(update.loss.detach(), losses.sum() / 2)


def test_gradnorm_keeps_the_mean_of_its_weights_and_follows_the_widest_pass_alone() -> None:
    balance = Balance("gradnorm", TASKS, alpha=0.0, rate=0.1)
    step(balance, widest=False)
    assert torch.equal(balance.weights, torch.ones(2))
    step(balance)
    assert float(balance.weights.mean()) == pytest.approx(1)
    norms = rows()[:, :12].norm(dim=1)  # of the encoder's weight
    smaller = int(norms.argmin())
    assert balance.weights[smaller] > 1 > balance.weights[1 - smaller]


def test_an_unlabelled_task_leaves_everything_finite() -> None:
    for kind in [kind for kind in get_args(Kind) if kind != "cagrad"]:
        net = Net()
        head: Any = net.heads[1]
        losses = {**net.losses(), "b": head.weight.sum() * 0 + net.encoder.weight.sum() * 0}
        update = Balance(kind, TASKS).update(losses, list(net.encoder.parameters()))
        if update.aggregator is None:
            update.loss.backward()
        else:
            update.aggregator(update.losses, list(net.parameters()))
        assert bool(flat(net).isfinite().all()), kind


def test_an_aggregator_without_its_solver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**_: object) -> None:
        raise ImportError("no solver")

    monkeypatch.setattr("torchjd.aggregation.CAGrad", missing)
    with pytest.raises(UnfitError, match=r"pip install 'torchjd\[cagrad\]' \(no solver\)"):
        Balance("cagrad", TASKS)
