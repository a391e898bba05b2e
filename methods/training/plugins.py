"""Avalanche plugins under the strategy: what they listen to, and which are refused."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from avalanche.core import BasePlugin, BaseSGDPlugin, SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.clock import Clock
from avalanche.training.templates.base_sgd import PeriodicEval

from ...datasets.core.table import Table

LOSS_EVENTS = ("before_forward", "after_forward", "before_backward")  # make sense where a step has one loss


def silent_evaluator() -> EvaluationPlugin:
    """No metrics, no loggers: the run evaluates. Without Avalanche's warning that this is so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return EvaluationPlugin()


def _is_empty(function: Any, base: type) -> bool:
    return function is getattr(base, function.__name__, None)


def listens(plugin: object, event: str) -> bool:
    """Whether ``plugin`` does anything on ``event`` (base classes' empty methods do not count)."""
    if isinstance(plugin, EvaluationPlugin):
        return bool(plugin.metrics or plugin.loggers)
    if isinstance(plugin, PeriodicEval) and plugin.eval_every < 0:
        return False
    function = getattr(type(plugin), event, None)
    return function is not None and not any(
        _is_empty(function, base) for base in (BasePlugin, BaseSGDPlugin, SupervisedPlugin)
    )


def refuse_loss_plugins(plugins: Iterable[object], step: Callable[..., Any], method: str) -> None:
    """TypeError for a plugin on one of ``LOSS_EVENTS`` where ``step`` is a generator of Updates."""
    if not inspect.isgeneratorfunction(step):
        return
    for plugin in plugins:
        if isinstance(plugin, EvaluationPlugin | Clock | PeriodicEval):
            continue
        events = [event for event in LOSS_EVENTS if listens(plugin, event)]
        if events:
            raise TypeError(
                f"{type(plugin).__name__} listens to {', '.join(events)}, which makes sense only where a step has one "
                f"loss; '{method}' updates several times a step. Use it on a single-update method."
            )


def refuse_class_metrics(evaluator: EvaluationPlugin, table: Table) -> None:
    """TypeError for a classification metric on a table without the column ``label``."""
    if "label" not in table.columns and any("Accuracy" in type(m).__name__ for m in evaluator.metrics):
        raise TypeError("a classification metric needs a class column 'label', which this data has not")
