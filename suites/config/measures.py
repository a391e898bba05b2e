"""Names that a run writes, with their directions.

Declared by evaluators, by methods (costs) and their checks, and here by the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...analysis.metrics.metric import Metric, Metrics, UnknownMetricError
from . import registry
from .errors import Fault
from .recipe import Recipe

if TYPE_CHECKING:
    from ...methods.base import Method

ON_VALID = ("validation", "worst_class")  # values of train.selection that choose weights on validation rows
RUN = (  # the loss is of the journal alone
    Metric("loss", False, "", "training loss"),
    Metric("cost/steps", False, "steps", "training steps"),
    Metric("cost/seconds_per_step", False, "s", "seconds a training step"),
)


def metrics(problem: str, kinds: Iterable[type[Method]] = (), sets: Iterable[str] = ()) -> Metrics:
    """All metrics of runs of ``problem`` by methods of ``kinds`` with the evaluation ``sets``.

    Raises Fault where declarations are at fault.
    """
    from ...analysis.probes.check import check

    kind, kinds = registry.problem(problem), list(kinds)
    costs = {name: title for method in kinds for name, title in method.costs.items()}
    names = sorted({name for method in kinds for name in method.checks})
    whole = [
        *(metric for name in names for metric in check(name).declared()),
        *RUN,
        *(Metric(f"cost/{name}", False, "", title) for name, title in costs.items()),
    ]
    try:
        return Metrics(kind.main, kind.metrics, whole, sets)
    except ValueError as error:
        what, next_step = f"the problem '{problem}': {error}", "declare it in the evaluator's metrics"
        raise Fault.recipe(what, "problem", next_step) from error


def of_recipe(recipe: Recipe) -> Metrics:
    """All metrics of runs of a recipe."""
    return metrics(recipe.problem, {registry.kind_of(recipe, name) for name in recipe.methods}, recipe.evaluate.sets)


def directions(problem: str, names: Iterable[str], sets: Iterable[str] = ()) -> str:
    """Which way is better, in words: ``higher of accuracy, r2; lower of wer``. Names nobody declares are left out."""
    known = metrics(problem, sets=sets)
    by_direction: dict[bool, list[str]] = {True: [], False: []}
    for name in names:
        higher = known[name].higher_is_better if name in known else None
        if higher is not None:
            by_direction[higher].append(name)
    words = ((by_direction[True], "higher"), (by_direction[False], "lower"))
    return "; ".join(f"{word} of {', '.join(listed)}" for listed, word in words if listed)


def selecting(known: Metrics, rule: str) -> Metric:
    """The metric that ``train.selection`` goes by. Raises Fault where the problem does not measure it."""
    if rule != "worst_class":
        return known.main
    if "worst_class/last" not in known:
        what = f"worst_class is not measured by this problem, whose main metric is {known.main.name}"
        raise Fault.recipe(what, "train.selection", "train.selection=validation, or last")
    return replace(known["worst_class/last"], name="worst_class")


def look_up(known: Metrics, name: str, where: str, next: str) -> Metric:
    """The metric ``name``. Raises Fault (usage) for one that nobody declares and for one with no better direction."""
    try:
        metric = known[name]
    except UnknownMetricError as error:
        raise Fault.usage(str(error), where, next) from error
    if metric.higher_is_better is None:
        raise Fault.usage(f"'{name}' ({metric.title}) says nothing of which is better", where, next)
    return metric
