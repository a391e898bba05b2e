"""LARS and LAMB against plain loops; optimizers by name through the strategy; parameter groups; what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.datasets.core.table import Batch
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import Method, MethodConfig, OptimizerSpec, Stage, StepContext, UnfitError
from holdfast.methods.training.lamb import LAMB
from holdfast.methods.training.lars import LARS
from holdfast.methods.training.optimizers import arguments_of, build_optimizer, check_optimizer, optimizer_names
from torch import Tensor, nn
from torch.nn import functional as F

from .families import Recorder, TwoGroups, assert_same, build, finish

COMMON = {"lr": 1e-2, "weight_decay": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8}
Gradients = list[tuple[list[float], list[float]]]


def layers() -> tuple[list[nn.Parameter], Gradients]:
    """Two layers, the second all zero, and five steps' gradients; the second layer's first gradient is zero too."""
    g = torch.Generator().manual_seed(5)
    w = nn.Parameter(torch.randn(6, dtype=torch.float64, generator=g))
    zero = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    gradients = [(torch.randn(6, generator=g).tolist(), torch.randn(3, generator=g).tolist()) for _ in range(5)]
    gradients[0] = (gradients[0][0], [0.0] * 3)
    return [w, zero], gradients


def moved(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], gradients: Gradients) -> list[list[float]]:
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return [parameter.tolist() for parameter in parameters]


def length(values: list[float]) -> float:
    return math.sqrt(sum(v * v for v in values))


@pytest.mark.parametrize("adapt", [True, False])
def test_lars_equals_plain_loops(adapt: bool) -> None:
    parameters, gradients = layers()
    lr, momentum, decay, trust = 0.3, 0.8, 0.05, 0.02
    expected = [p.tolist() for p in parameters]
    velocity = [[0.0] * len(w) for w in expected]
    for step in gradients:
        for w, v, g in zip(expected, velocity, step, strict=True):
            ratio = 1.0
            if adapt and length(w) > 0 and length(g) > 0:
                ratio = trust * length(w) / (length(g) + decay * length(w))
            for i in range(len(w)):
                v[i] = momentum * v[i] + lr * ratio * (g[i] + decay * w[i])
            for i in range(len(w)):
                w[i] -= v[i]
    optimizer = LARS(parameters, lr, momentum, decay, trust, adapt)
    for mine, theirs in zip(moved(optimizer, parameters, gradients), expected, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("adapt", [True, False])
def test_lamb_equals_plain_loops(adapt: bool) -> None:
    parameters, gradients = layers()
    lr, (beta1, beta2), eps, decay = 0.03, (0.8, 0.95), 1e-6, 0.05
    expected = [p.tolist() for p in parameters]
    first = [[0.0] * len(x) for x in expected]
    second = [[0.0] * len(x) for x in expected]
    for t, step in enumerate(gradients, 1):
        for x, m, v, g in zip(expected, first, second, step, strict=True):
            update = []
            for i in range(len(x)):
                m[i] = beta1 * m[i] + (1 - beta1) * g[i]
                v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
                r = m[i] / (1 - beta1**t) / (math.sqrt(v[i] / (1 - beta2**t)) + eps)
                update.append(r + decay * x[i])
            ratio = 1.0
            if adapt and length(x) > 0 and length(update) > 0:
                ratio = length(x) / length(update)
            for i in range(len(x)):
                x[i] -= lr * ratio * update[i]
    optimizer = LAMB(parameters, lr, (beta1, beta2), eps, decay, adapt)
    for mine, theirs in zip(moved(optimizer, parameters, gradients), expected, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(LARS, {"momentum": 1.0}), (LARS, {"lr": -1.0}), (LAMB, {"betas": (0.9, 1.0)}), (LAMB, {"eps": -1.0})],
)
def test_wrong_arguments_are_refused(kind: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        kind([nn.Parameter(torch.zeros(2))], **arguments)


class Matrix(TwoGroups):
    """One matrix and nothing else, which Muon takes too."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, nn.Linear(6, 4, bias=False))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(batch["x"]), batch["label"])}


@pytest.mark.parametrize("name", optimizer_names())
def test_every_optimizer_trains_and_resumes_to_the_bit(name: str) -> None:
    common = {**COMMON, "weight_decay": 0.0} if name == "Rprop" else COMMON
    settings = {"optimizer": name, "optimizer_arguments": arguments_of(name, common, {})}
    whole, first, second = Recorder(), Recorder(5), Recorder()
    strategy, experiences = build(Matrix, whole, **settings)
    before = [p.detach().clone() for p in strategy.method.parameters()]
    finish(strategy, experiences)
    assert not any(torch.equal(p, q) for p, q in zip(strategy.method.parameters(), before, strict=True))
    expected = strategy.method.state_dict()
    strategy, experiences = build(Matrix, first, **settings)
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    first.saved.seek(0)
    strategy, experiences = build(Matrix, second, **settings)
    strategy.load_state_dict(torch.load(first.saved, weights_only=True), experience=experiences[0])
    finish(strategy, experiences)
    assert first.lines + second.lines == whole.lines
    assert_same(strategy.method.state_dict(), expected)


class Grouped(Method):
    """The bias in a group of its own, faster and without weight decay."""

    def stages(self, view: ExperienceView) -> list[Stage]:
        groups: list[dict[str, Any]] = [
            {"params": [self._model.weight]},
            {"params": [self._model.bias], "lr": 0.5, "weight_decay": 0.0},
        ]
        return [Stage(optimizers={"main": OptimizerSpec(groups, "SGD", {"lr": 0.1, "weight_decay": 0.2})})]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": self.model(batch["x"]).sum()}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_groups_keep_their_own_settings_and_follow_one_schedule(schedule: str) -> None:
    settings = {"batch_size": 60, "epochs": 2, "warmup_steps": 0, "schedule": schedule, "clip": 1e6}
    strategy, experiences = build(Grouped, Recorder(), **settings)
    model: Any = strategy.method.model
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    x = experiences[0].table.gather(experiences[0].rows)["x"]
    strategy.train(experiences[0], eval_streams=[])
    for factor in (1.0, 1.0 if schedule == "constant" else 0.5):
        weight = weight - 0.1 * factor * (x.sum(0).expand(4, 6) + 0.2 * weight)
        bias = bias - 0.5 * factor * len(x)
    assert torch.allclose(model.weight, weight, atol=1e-4)
    assert torch.allclose(model.bias, bias, atol=1e-4)


def test_an_optimizer_gets_what_it_takes() -> None:
    assert arguments_of("AdamW", COMMON, {"amsgrad": True}) == {**COMMON, "amsgrad": True}
    assert arguments_of("SGD", COMMON, {"momentum": 0.9}) == {"lr": 1e-2, "weight_decay": 1e-2, "momentum": 0.9}
    assert arguments_of("Adafactor", COMMON, {"eps": [None, 1e-3]})["eps"] == (None, 1e-3)  # two, as the class has them


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Adamw", {}, r"train\.optimizer: no such optimizer 'Adamw' .*AdamW"),
        ("LBFGS", {}, r"train\.optimizer: LBFGS cannot be used: it evaluates the loss several times"),
        ("SGD", {"amsgrad": True}, r"train\.optimizer_options\.amsgrad: SGD has no such option .*momentum"),
        ("SGD", {"lr": 0.1}, r"train\.optimizer_options\.lr: this is the field train\.lr"),
        ("Rprop", {}, r"train\.weight_decay: Rprop has no weight decay"),
        ("SGD", {"momentum": -1.0}, r"train\.optimizer_options: SGD: Invalid momentum"),
        ("Adam", {"differentiable": True}, r"train\.optimizer_options: Adam: "),
    ],
)
def test_what_an_optimizer_does_not_take_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnfitError, match=message):
        check_optimizer(name, arguments_of(name, COMMON, options), "constant")


def test_parameters_that_an_optimizer_cannot_train_are_refused() -> None:
    with pytest.raises(UnfitError, match=r"the optimizer Muon cannot train these parameters: .*2D"):
        build_optimizer(OptimizerSpec([nn.Parameter(torch.zeros(3))], "Muon"))
