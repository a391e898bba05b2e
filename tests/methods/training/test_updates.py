"""Several losses in one Update; what a step knows of where it stands; the Trainer protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import LwFPlugin
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import Aggregator, Method, MethodConfig, Stage, StepContext, Update
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.methods.training.trainer import Trainer
from torch import Tensor, nn
from torch.nn import functional as F

from .families import MemoryTeacher, Recorder, Slimmable, TwoOptimizers, build, finish


class TwoTasks(Method):
    """Two losses on one layer, ten times apart in size."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        out = self.model(batch["x"])
        return {"class": F.cross_entropy(out, batch["label"]), "age": 10 * (out[:, 0] - batch["age"]).square().mean()}

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        yield Update(losses=self.losses(batch))


class Summed(TwoTasks):
    """The same as one loss."""

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        losses = self.losses(batch)
        yield Update(losses["class"] + losses["age"], logs={f"loss/{name}": loss for name, loss in losses.items()})


class Balanced(TwoTasks):
    """The mean of both gradients at length 1."""

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        yield Update(losses=self.losses(batch), aggregator=unit_mean)


class BalancedByMethod(TwoTasks):
    def aggregator(self) -> Aggregator | None:
        return unit_mean


def unit_mean(losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> None:
    gradients = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses.values()]
    norms = [torch.cat([g.flatten() for g in each]).norm() for each in gradients]
    for number, parameter in enumerate(parameters):
        mean = torch.stack([g[number] / norm for g, norm in zip(gradients, norms, strict=True)]).mean(0)
        parameter.grad = mean if parameter.grad is None else parameter.grad + mean


class FromFeatures(Method):
    """Two heads on shared features, whose gradients are balanced at the features."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.heads = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 1)])

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.model(batch["x"])
        labels = F.cross_entropy(self.heads[0](features), batch["label"])
        return features, {"class": labels, "age": F.mse_loss(self.heads[1](features)[:, 0], batch["age"])}

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        features, losses = self(batch)
        heads = list(self.heads.parameters())
        yield Update(losses=losses, aggregator=lambda each, _: features_backward([*each.values()], features, heads))


def features_backward(losses: list[Tensor], features: Tensor, heads: list[nn.Parameter]) -> None:
    """As ``torchjd.autojac.mtl_backward``: each loss into its head, what the aggregator makes of them into the rest."""
    gradients = [torch.autograd.grad(loss, features, retain_graph=True)[0] for loss in losses]
    torch.stack(losses).sum().backward(retain_graph=True, inputs=heads)
    features.backward(torch.stack([g / g.norm() for g in gradients]).mean(0))


def weights_of(family: type[Method], recorder: Recorder, **settings: Any) -> Tensor:
    strategy, experiences = build(family, recorder, **settings)
    finish(strategy, experiences)
    return torch.cat([p.detach().flatten() for p in strategy.method.parameters()])


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")  # fp16 skips the step of a gradient that overflows
@pytest.mark.parametrize("settings", [{}, {"accumulate": 2, "clip": 0.5}, {"precision": "fp16"}])
def test_without_an_aggregator_several_losses_are_their_sum_and_each_is_logged(settings: dict[str, Any]) -> None:
    several, one = Recorder(), Recorder()
    assert torch.equal(weights_of(TwoTasks, several, **settings), weights_of(Summed, one, **settings))
    assert several.lines == one.lines
    assert set(several.lines[0][1]) == {"loss", "loss/class", "loss/age"}


def test_an_aggregator_of_the_update_or_the_method_does_the_backward_pass() -> None:
    first, second, plain = Recorder(), Recorder(), Recorder()
    settings = {
        "optimizer": "SGD",
        "optimizer_arguments": {"lr": 0.1},
        "warmup_steps": 0,
        "epochs": 1,
        "batch_size": 60,
    }
    mine = weights_of(Balanced, first, **settings)
    assert torch.equal(mine, weights_of(BalancedByMethod, second, **settings))
    assert not torch.equal(mine, weights_of(TwoTasks, plain, **settings))
    strategy, experiences = build(TwoTasks, Recorder(), **settings)
    method: Any = strategy.method
    for experience in experiences:  # one batch each: two plain steps of length at most 0.1
        losses = method.losses(experience.table.gather(experience.rows))
        unit_mean(losses, list(method.parameters()))
        with torch.no_grad():
            for p in method.parameters():
                p -= 0.1 * p.grad
                p.grad = None
    assert torch.allclose(mine, torch.cat([p.detach().flatten() for p in method.parameters()]), atol=1e-6)


def test_an_aggregator_may_work_from_shared_features() -> None:
    settings = {
        "optimizer": "SGD",
        "optimizer_arguments": {"lr": 0.1},
        "warmup_steps": 0,
        "epochs": 1,
        "batch_size": 60,
    }
    strategy, experiences = build(FromFeatures, Recorder(), **settings)
    method: Any = strategy.method
    start = {name: p.detach().clone() for name, p in method.named_parameters()}
    batch = experiences[0].table.gather(experiences[0].rows)
    features, losses = method(batch)
    heads = torch.autograd.grad(sum(losses.values()), list(method.heads.parameters()), retain_graph=True)
    at_features = [torch.autograd.grad(loss, features, retain_graph=True)[0] for loss in losses.values()]
    balanced = sum(g / g.norm() for g in at_features) / 2
    encoder = torch.autograd.grad(features, list(method.model.parameters()), balanced)
    strategy.train(experiences[0], eval_streams=[])
    for (name, p), g in zip(method.named_parameters(), [*encoder, *heads], strict=True):
        assert torch.allclose(p, start[name] - 0.1 * g, atol=1e-6), name


def test_gradients_from_an_aggregator_accumulate_over_batches() -> None:
    settings = {"optimizer": "SGD", "optimizer_arguments": {"lr": 0.1}, "warmup_steps": 0, "epochs": 1}
    whole = weights_of(Balanced, Recorder(), batch_size=15, accumulate=2, **settings)
    assert bool(whole.isfinite().all())
    assert not torch.equal(whole, weights_of(Balanced, Recorder(), batch_size=15, **settings))


def test_the_terms_of_an_update_are_compared_by_the_gradient_diagnostics() -> None:
    recorder = Recorder()
    weights = weights_of(Balanced, recorder, gradients=1)
    assert torch.equal(weights, weights_of(Balanced, Recorder()))
    point = recorder.lines[0][1]
    assert point["gradient/class/share"] + point["gradient/age/share"] == pytest.approx(1, abs=1e-4)


def test_an_update_has_a_loss_or_losses() -> None:
    loss = torch.zeros((), requires_grad=True)
    assert Update(losses={"a": loss, "b": loss + 1}).loss.item() == 1
    with pytest.raises(ValueError, match="either a loss or losses"):
        Update()
    with pytest.raises(ValueError, match="either a loss or losses"):
        Update(loss, losses={"a": loss})


class Counting(SupervisedPlugin[Any]):
    """Counts the optimizer steps of each experience."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.steps.append(0)

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        self.steps[-1] += 1


def watched(family: type[Method]) -> tuple[type[Method], list[tuple[int, str, int, int]]]:
    """The family, and (experience, stage, step, total_steps) of each of its batches."""
    seen: list[tuple[int, str, int, int]] = []

    class Watched(family):  # type: ignore[valid-type, misc]
        def note(self, ctx: StepContext) -> None:
            seen.append((ctx.view.experience, ctx.stage, ctx.step, ctx.total_steps))

        def stages(self, view: ExperienceView) -> list[Stage]:
            stages: list[Stage] = super().stages(view)
            return [stage for stage in stages if stage.optimizers is None or "main" in stage.optimizers]

        def training_step(self, batch: Batch, ctx: StepContext) -> Any:
            self.note(ctx)
            return super().training_step(batch, ctx)

        def classify(self, batch: Batch, ctx: StepContext) -> Any:
            self.note(ctx)
            return super().classify(batch, ctx)

    return Watched, seen


@pytest.mark.parametrize("batching", ["concat", "balanced"])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("family", [MemoryTeacher, Slimmable, TwoOptimizers])
def test_a_step_knows_how_many_there_are(family: type[Method], accumulate: int, batching: str) -> None:
    """Slimmable makes three Updates and one optimizer step a batch."""
    kind, seen = watched(family)
    strategy, experiences = build(kind, Recorder(), accumulate=accumulate, schedule="cosine")
    strategy.method.batching = batching
    counting = Counting()
    strategy.plugins.append(counting)
    finish(strategy, experiences)
    for number, made in enumerate(counting.steps):
        mine = [(step, total) for n, _, step, total in seen if n == number]
        assert {total for _, total in mine} == {made}
        steps = [step for step, _ in mine]
        assert steps == sorted(steps)
        assert set(steps) == set(range(made))


def test_the_count_of_steps_goes_on_after_a_resume() -> None:
    kind, seen = watched(MemoryTeacher)
    whole = Recorder()
    finish(*build(kind, whole, accumulate=2))
    expected, first = list(seen), Recorder(6)
    seen.clear()
    strategy, experiences = build(kind, first, accumulate=2)
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    first.saved.seek(0)
    strategy, experiences = build(kind, Recorder(), accumulate=2)
    strategy.load_state_dict(torch.load(first.saved, weights_only=True), experience=experiences[0])
    finish(strategy, experiences)
    assert seen == expected


def test_loss_plugins_are_refused_on_a_stage_of_several_updates() -> None:
    class Later(MemoryTeacher):
        def stages(self, view: ExperienceView) -> list[Stage]:
            return [Stage("late", step=self.late)]

        def late(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
            yield Update(F.cross_entropy(self.model(batch["x"]), batch["label"]))

    method = Later(MethodConfig(), nn.Linear(6, 4))
    strategy = MethodStrategy(method=method, settings=TrainingSettings(), plugins=[LwFPlugin()])
    _, experiences = build(MemoryTeacher, Recorder())
    with pytest.raises(TypeError, match=r"LwFPlugin listens to before_backward.*Later"):
        strategy.train(experiences[0], eval_streams=[])


def test_a_strategy_is_a_trainer() -> None:
    table = Table({"x": torch.randn(8, 6, generator=generator(0, "x")), "label": torch.arange(8) % 4})
    experience = class_incremental(Source({"train": table}, list("abcd"), DataInfo(), "stand-in", "0"), 1).streams[
        "train"
    ][0]

    def strategy() -> Trainer:  # mypy checks the signatures
        method = MemoryTeacher(MethodConfig(), nn.Linear(6, 4))
        return MethodStrategy(method=method, settings=TrainingSettings(batch_size=4))

    trainer = strategy()
    assert isinstance(trainer, Trainer)
    trainer.train(experience)
    batch = table.gather(torch.arange(8))
    state, other = trainer.state_dict(), strategy()
    assert state is not None
    other.load_state_dict(state)
    assert torch.equal(other.predict(batch)["label"], trainer.predict(batch)["label"])
    assert trainer.predict(batch)["label"].shape == (8,)
