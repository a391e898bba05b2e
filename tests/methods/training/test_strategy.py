"""Six families in miniature through the one strategy; each is stopped in the middle and ends bitwise equal."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.methods.base import Method, MethodConfig, StepContext
from holdfast.methods.training.strategy import MethodStrategy, NonFiniteLossError, TrainingSettings
from torch import Tensor, nn
from torch.nn import functional as F

from .families import (
    FewTrainable,
    MemoryTeacher,
    PretrainProbe,
    Recorder,
    Slimmable,
    TwoGroups,
    TwoOptimizers,
    assert_same,
    build,
    finish,
    make_source,
)

FAMILIES = [MemoryTeacher, TwoOptimizers, PretrainProbe, Slimmable, TwoGroups, FewTrainable]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_resumed_anywhere_ends_bitwise_equal(family: type[Method]) -> None:
    whole = Recorder()
    strategy, experiences = build(family, whole)
    finish(strategy, experiences)
    straight = strategy.method.state_dict()
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
        assert_same(strategy.method.state_dict(), straight)


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
        doubled = {
            k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v
            for k, v in source.splits["train"].columns.items()
        }
        scenario = class_incremental(Source({"train": Table(doubled)}, source.class_names, {}, "stand-in", "0"), 1)
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
