"""Avalanche's plugins and metrics on our strategy: which events fire, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin, LwFPlugin
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch
from holdfast.methods.base import Method
from holdfast.methods.training.strategy import MethodStrategy, TrainingSettings
from torch import Tensor

from .families import MemoryTeacher, Slimmable, TwoOptimizers, make_method, make_source


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
