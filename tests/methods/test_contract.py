"""Six families in miniature through the one strategy; each is stopped in the middle and taken up bitwise equal."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin, LwFPlugin
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Ragged, Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import FrozenCopy, Method, MethodConfig, OptimizerSpec, Stage, StepContext, Update
from holdfast.methods.training.strategy import MethodStrategy, NonFiniteLossError, TrainingSettings, seed_everything
from torch import Tensor, nn
from torch.nn import functional as F


class MemoryTeacher(Method):
    """Memory + teacher (COCONUT's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.teacher = FrozenCopy(model)
        self.register_buffer("kept", torch.full((4,), -1))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        logits = self.model(F.dropout(batch["x"], 0.1))
        loss = F.cross_entropy(logits, batch["label"])
        if self.teacher.taken and batch["is_memory"].any():
            with torch.no_grad():
                old = self.teacher.module(batch["x"])
            distil = F.mse_loss(logits[batch["is_memory"]], old[batch["is_memory"]])
            return {"loss": loss + distil, "loss/distil": distil, "output": logits}
        return {"loss": loss, "output": logits}

    def after_experience(self, view: ExperienceView) -> None:
        self.teacher.take()
        kept: Any = self.kept
        kept[2 * view.experience : 2 * view.experience + 2] = view.index[:2]

    def memory(self) -> Tensor:
        kept: Any = self.kept
        return kept[kept >= 0]

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return {"label": self.model(batch["x"]).argmax(1)}


class TwoOptimizers(Method):
    """A critic and a generator with n_critic = 2, then a classifier on the frozen generator (CDvG's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.generator, self.critic = nn.Linear(6, 6), nn.Linear(6, 1, bias=False)

    def stages(self, view: ExperienceView) -> list[Stage]:
        adam = {"lr": 1e-2}
        return [
            Stage("translator", 1, {"critic": OptimizerSpec(list(self.critic.parameters()), "Adam", adam),
                                    "generator": OptimizerSpec(list(self.generator.parameters()), "Adam", adam)}),
            Stage("classifier", 1, {"main": OptimizerSpec(list(self.model.parameters()), "SGD", adam)}, "classify"),
        ]  # fmt: skip

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        noise = torch.randn(batch["x"].shape, generator=ctx.augment)
        fake = self.generator(batch["x"] + noise)
        yield Update(self.critic(fake.detach()).mean() - self.critic(batch["x"]).mean(), "critic")
        if (ctx.iteration + 1) % 2 == 0:
            yield Update(-self.critic(self.generator(batch["x"])).mean(), "generator")

    def classify(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        with torch.no_grad():
            x = self.generator(batch["x"])
        return {"loss": F.cross_entropy(self.model(x), batch["label"])}


class PretrainProbe(Method):
    """Pre-train, then a probe on frozen features, with a float target (SupReMix's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.probe = nn.Linear(4, 1)

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [
            Stage("pretrain", 2, {"main": OptimizerSpec(list(self.model.parameters()), "AdamW", {})}),
            Stage("probe", 1, {"main": OptimizerSpec(list(self.probe.parameters()), "Adam", {})}, "fit_probe"),
        ]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        z = F.normalize(self.model(batch["x"]), dim=1)
        target = -(batch["age"][:, None] - batch["age"][None]).abs()
        return {"loss": F.mse_loss(z @ z.T, target)}

    def fit_probe(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        with torch.no_grad():
            z = self.model(batch["x"])
        return {"loss": F.l1_loss(self.probe(z)[:, 0], batch["age"])}


class Slimmable(Method):
    """Several backwards and one optimizer step, then a stage without any update (a slimmable net's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.norm = nn.BatchNorm1d(6)

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage(), Stage("calibrate", 1, {}, "calibrate", gradients=False)]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        full = self.model(self.norm(batch["x"]))
        yield Update(F.cross_entropy(full, batch["label"]), step=False)
        for width, last in ((3, False), (5, True)):
            x = batch["x"].clone()
            x[:, width:] = 0
            slim = self.model(self.norm(x))
            yield Update(F.mse_loss(slim, full.detach()), step=last, logs={f"loss/width{width}": slim.mean()})

    def calibrate(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        self.norm(batch["x"])
        yield from ()


class TwoGroups(Method):
    """A batch of two groups, background and target (SepCLR's shape)."""

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        target = (batch["label"] % 2 == 1)[:, None]
        z = self.model(batch["x"] + 0.1 * torch.randn(batch["x"].shape, generator=ctx.augment))
        pinned = torch.where(target, z, torch.zeros_like(z))
        return {
            "loss": torch.logsumexp(-torch.cdist(pinned, pinned).flatten(), 0) + (z.masked_fill(target, 0) ** 2).mean()
        }


class FewTrainable(Method):
    """A frozen backbone with few trainable parameters, on ragged rows (PEFT's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model.requires_grad_(False))
        self.prompt = nn.Parameter(torch.zeros(6))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        valid = torch.arange(batch["words"].shape[1]) < batch["words_lengths"][:, None]
        pooled = (batch["words"] * valid[..., None]).sum(1) / batch["words_lengths"][:, None]
        return {"loss": F.cross_entropy(self.model(pooled + self.prompt), batch["label"])}


FAMILIES = [MemoryTeacher, TwoOptimizers, PretrainProbe, Slimmable, TwoGroups, FewTrainable]


def make_source(n: int = 60) -> Source:
    g = torch.Generator().manual_seed(3)
    label = torch.arange(n) % 4
    words = [torch.randn(int(k), 6, generator=g) for k in torch.randint(1, 7, (n,), generator=g)]
    x = torch.randn(n, 6, generator=g) + label[:, None]
    table = Table({"x": x, "label": label, "age": torch.rand(n, generator=g), "words": Ragged.from_list(words),
                   "bias": label % 3})  # fmt: skip
    return Source({"train": table, "valid": table, "test": table}, ["a", "b", "c", "d"], DataInfo(), "stand-in", "0")


class Recorder:
    """Keeps the points; saves the state after iteration ``stop_at`` and stops there, like a killed process after its checkpoint."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.stop_at, self.saved = stop_at, io.BytesIO()

    def points(self, values: dict[str, float], step: int) -> None:
        self.lines.append((step, values))

    def after_iteration(self, strategy: MethodStrategy) -> None:
        if strategy.iteration == self.stop_at:
            torch.save(strategy.state_dict(), self.saved)
            raise KeyboardInterrupt

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None: ...

    def after_epoch(self, strategy: MethodStrategy) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...

    def after_stage(self, strategy: MethodStrategy, stage: Any) -> None: ...


def make_method(family: type[Method]) -> Method:
    return family(MethodConfig(), nn.Linear(6, 4))


def build(family: type[Method], recorder: Recorder, **settings: Any) -> tuple[MethodStrategy, list[Any]]:
    seed_everything(0)
    torch.manual_seed(0)
    source = make_source()
    method = make_method(family)
    given = {"epochs": 2, "batch_size": 8, "log_every": 3, "warmup_steps": 3, **settings}
    strategy = MethodStrategy(method=method, settings=TrainingSettings(**given), observer=recorder)
    experiences = list(class_incremental(source, 2, hidden=frozenset({"bias"})).streams["train"])
    return strategy, experiences


def finish(strategy: MethodStrategy, experiences: list[Any]) -> None:
    for experience in experiences:
        strategy.train(experience, eval_streams=[])


def total_iterations(family: type[Method]) -> int:
    strategy, experiences = build(family, Recorder())
    finish(strategy, experiences)
    return strategy.iteration


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_taken_up_anywhere_ends_bitwise_equal(family: type[Method]) -> None:
    whole = Recorder()
    strategy, experiences = build(family, whole)
    finish(strategy, experiences)
    wanted = strategy.method.state_dict()
    for stop_at in range(1, strategy.iteration, 3):
        first = Recorder(stop_at)
        strategy, experiences = build(family, first)
        with pytest.raises(KeyboardInterrupt):
            finish(strategy, experiences)
        torch.manual_seed(99)  # another process has other global state
        first.saved.seek(0)
        state = torch.load(first.saved, weights_only=True)
        second = Recorder()
        strategy, experiences = build(family, second)
        at = state["at"]["experience"]
        strategy.load_state_dict(state, experience=experiences[at])
        finish(strategy, experiences[at:])
        assert first.lines + second.lines == whole.lines
        assert_same(strategy.method.state_dict(), wanted)


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    else:
        assert a == b


@pytest.mark.parametrize("family", FAMILIES)
def test_loader_path_gives_the_same_numbers(family: type[Method]) -> None:
    memory, loader = Recorder(), Recorder()
    for recorder, path in ((memory, "memory"), (loader, "loader")):
        strategy, experiences = build(family, recorder, path=path)
        finish(strategy, experiences)
    assert memory.lines == loader.lines


@pytest.mark.parametrize("family", FAMILIES)
def test_training_moves_only_what_it_may(family: type[Method]) -> None:
    strategy, experiences = build(family, Recorder())
    before = copy.deepcopy(dict(strategy.method.named_parameters()))
    finish(strategy, experiences)
    for name, parameter in strategy.method.named_parameters():
        assert torch.equal(parameter, before[name]) is not parameter.requires_grad, name


def test_teacher_is_no_parameter_and_is_restored() -> None:
    strategy, experiences = build(MemoryTeacher, Recorder())
    finish(strategy, experiences)
    assert {name.split(".")[0] for name, _ in strategy.method.named_parameters()} == {"model"}
    fresh, _ = build(MemoryTeacher, Recorder())
    fresh.method.load_state_dict(strategy.method.state_dict())
    teachers: list[Any] = [each.method.teacher for each in (fresh, strategy)]
    assert_same(*(teacher.module.state_dict() for teacher in teachers))


class Events(SupervisedPlugin[Any]):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.seen.append("before_training_exp")

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.seen.append("before_training_iteration")

    def before_update(self, strategy: Any, **kwargs: Any) -> None:
        self.seen.append("before_update")

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.seen.append("after_training_iteration")

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.seen.append("after_training_exp")


def with_plugins(family: type[Method], **kwargs: Any) -> MethodStrategy:
    return MethodStrategy(method=make_method(family), settings=TrainingSettings(batch_size=64), **kwargs)


def test_events_fire_once_a_batch_and_once_an_update() -> None:
    experience = class_incremental(make_source(), 1).streams["train"][0]
    for family, updates in ((MemoryTeacher, 1), (Slimmable, 1)):
        events = Events()
        with_plugins(family, plugins=[events]).train(experience, eval_streams=[])
        assert events.seen.count("before_training_iteration") == (
            1 if family is MemoryTeacher else 2
        )  # one more to calibrate
        assert events.seen.count("before_update") == updates
        assert events.seen[0] == "before_training_exp"
        assert events.seen[-1] == "after_training_exp"


@pytest.mark.filterwarnings("ignore:No loggers specified")
def test_avalanche_metrics_see_predictions_and_targets() -> None:
    evaluator = EvaluationPlugin(accuracy_metrics(stream=True))
    strategy = with_plugins(MemoryTeacher, evaluator=evaluator)

    def logits(batch: Batch) -> Tensor:
        return strategy.method.model(batch["x"])

    strategy.method.predict = logits  # type: ignore[assignment, method-assign]
    stream = class_incremental(make_source(), 2).streams["test"]
    value = next(iter(strategy.eval(stream).values()))
    source = make_source().splits["test"].columns
    x, label = source["x"], source["label"]
    assert isinstance(x, Tensor)
    assert isinstance(label, Tensor)
    assert value == pytest.approx((strategy.method.model(x).argmax(1) == label).float().mean().item())


def test_loss_plugins_are_refused_on_several_updates() -> None:
    with pytest.raises(TypeError, match=r"LwFPlugin listens to before_backward.*TwoOptimizers"):
        with_plugins(TwoOptimizers, plugins=[LwFPlugin()])
    with_plugins(MemoryTeacher, plugins=[LwFPlugin()])


@pytest.mark.filterwarnings("ignore:No loggers specified")
def test_class_metrics_are_refused_without_classes() -> None:
    strategy = with_plugins(MemoryTeacher, evaluator=EvaluationPlugin(accuracy_metrics(stream=True)))
    stream = class_incremental(make_source(), 1, hidden=frozenset({"label", "bias"})).streams["train"]
    with pytest.raises(TypeError, match="needs a class column"):
        strategy.train(stream[0], eval_streams=[])


class Exploding(TwoGroups):
    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": self.model(batch["x"]).sum() * float("nan")}


def test_a_non_finite_loss_ends_the_run() -> None:
    strategy, experiences = build(Exploding, Recorder())
    with pytest.raises(NonFiniteLossError, match="loss became non-finite by iteration 3"):
        finish(strategy, experiences)


def test_hidden_columns_do_not_exist_for_the_method() -> None:
    strategy, experiences = build(TwoGroups, Recorder())
    finish(strategy, experiences)
    assert strategy.view is not None
    with pytest.raises(KeyError):
        strategy.view.labels("bias")
    assert "bias" not in next(iter(strategy.view.batches()))


@pytest.mark.parametrize(("accumulate", "clip"), [(1, None), (2, 1.0), (3, 0.1)])
def test_accumulation_and_clipping_run_and_resume(accumulate: int, clip: float | None) -> None:
    whole = Recorder()
    strategy, experiences = build(MemoryTeacher, whole, accumulate=accumulate, clip=clip, schedule="cosine")
    finish(strategy, experiences)
    first = Recorder(accumulate)
    strategy, experiences = build(MemoryTeacher, first, accumulate=accumulate, clip=clip, schedule="cosine")
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    first.saved.seek(0)
    second = Recorder()
    strategy, experiences = build(MemoryTeacher, second, accumulate=accumulate, clip=clip, schedule="cosine")
    strategy.load_state_dict(torch.load(first.saved, weights_only=True), experience=experiences[0])
    finish(strategy, experiences)
    assert first.lines + second.lines == whole.lines


def test_accumulated_gradients_are_those_of_the_large_batch() -> None:
    class Plain(TwoGroups):
        def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
            return {"loss": F.cross_entropy(self.model(batch["x"]), batch["label"])}

    results = []
    for size, accumulate in ((30, 2), (60, 1)):
        torch.manual_seed(0)
        method = Plain(MethodConfig(), nn.Linear(6, 4).double())
        settings = TrainingSettings(batch_size=size, accumulate=accumulate, optimizer="SGD")
        source = make_source()
        doubled = {k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v
                   for k, v in source.splits["train"].columns.items()}  # fmt: skip
        scenario = class_incremental(
            Source({"train": Table(doubled)}, source.class_names, DataInfo(), "stand-in", "0"), 1
        )
        MethodStrategy(method=method, settings=settings).train(scenario.streams["train"][0], eval_streams=[])
        weight: Any = method.model.weight
        results.append(weight.detach())
    assert torch.allclose(results[0], results[1], rtol=1e-9)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_and_resumes(precision: str) -> None:
    """Near the float32 losses, and bitwise equal after a stop: the scaler's state (fp16) is in the checkpoint."""
    plain, whole = Recorder(), Recorder()
    for recorder, used in ((plain, "fp32"), (whole, precision)):
        finish(*build(MemoryTeacher, recorder, precision=used, clip=1.0))
    for (_, exact), (_, rounded) in zip(plain.lines, whole.lines, strict=True):
        assert rounded["loss"] == pytest.approx(exact["loss"], rel=0.1)
    first = Recorder(4)
    strategy, experiences = build(MemoryTeacher, first, precision=precision, clip=1.0)
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    first.saved.seek(0)
    state = torch.load(first.saved, weights_only=True)
    assert bool(state["scaler"]) == (precision == "fp16")
    second = Recorder()
    strategy, experiences = build(MemoryTeacher, second, precision=precision, clip=1.0)
    strategy.load_state_dict(state, experience=experiences[0])
    finish(strategy, experiences)
    assert first.lines + second.lines == whole.lines
