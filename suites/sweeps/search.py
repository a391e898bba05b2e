"""What a sweep searches: ranges from the recipe or from the fields of the methods, checked like a recipe; samplers
and pruners by name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..config import catalog, measures, registry
from ..config.documents import suggestion
from ..config.errors import Fault
from ..config.recipe import Recipe, fault
from ..config.sections import Range
from ..runtime.recipes import apply

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metrics

LEARNING_RATE = Range(low=1e-4, high=1e-2, log=True)


@dataclass(frozen=True)
class Objective:
    """A metric of the summary and its direction."""

    name: str
    direction: str  # maximize or minimize


def method_of(recipe: Recipe, given: Sequence[str]) -> str:
    """The one method that is tuned."""
    if len(given) > 1:
        raise Fault.usage("a sweep tunes one method", "--method", "name one, and sweep again for the other")
    return catalog.chosen_methods(recipe, given)[0] if given else recipe.sweep.method or recipe.defaults[0]


def space(recipe: Recipe, method: str) -> dict[str, Range]:
    """Recipe path → range: what the recipe's own ``sweep.params`` say of this method; where they say nothing, the
    sweep ranges on the fields of the method's Config, and ``train.lr``.

    Raises Fault with all that is wrong: unknown paths, values that the recipe refuses at either end.
    """
    ranges = {
        path: r
        for path, r in recipe.sweep.params.items()
        if not path.startswith("methods.") or path.split(".")[1] == method
    }
    if not ranges:  # the recipe says nothing of this method
        kind = registry.kind_of(recipe, method)
        ranges = {"train.lr": LEARNING_RATE}
        for name, info in kind.Config.model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and isinstance(extra.get("sweep"), dict):
                ranges[f"methods.{method}.{name}"] = Range.model_validate(extra["sweep"])
    errors: list[str] = []
    for path, r in ranges.items():
        for value in r.choices if r.choices is not None else (r.low, r.high):
            try:
                catalog.resolve(apply(recipe, {path: value}), fair=False)
            except Fault as error:
                errors.append(f"sweep.params.{path}: {' '.join(error.what.split())} (value {value!r})")
                break
    if errors:
        raise fault(errors, recipe.name)
    return ranges


def objectives(recipe: Recipe, given: Sequence[str], method: str) -> list[Objective]:
    """The objectives named, else the recipe's, else the main validation metric, with their metrics' directions.

    Raises Fault for anything read from the test stream, an undeclared metric, and a direction against the declared one.
    """
    known = measures.metrics(recipe.problem, [registry.kind_of(recipe, method)])
    allowed = [name for name in known if name.startswith(("valid/", "cost/"))]
    main = f"valid/{known.main.name}/average"
    return [_objective(known, text, allowed) for text in given or recipe.sweep.objective or (main,)]


def _objective(known: Metrics, text: str, allowed: Sequence[str]) -> Objective:
    """The objective that ``METRIC[:min|max]`` names."""
    name, _, direction = text.partition(":")
    option = "--objective"
    if direction not in ("", "min", "max"):
        what = f"'{direction}' is no direction{suggestion(direction, ('min', 'max'))}"
        raise Fault.usage(what, option, f"{option} {name}:max")
    if not name.startswith(("valid/", "cost/")):
        what = f"'{name}' would select on the test stream; an objective is a metric of the validation stream or a cost"
        raise Fault.usage(what, option, f"{option} valid/{known.main.name}/average")
    if name not in allowed:
        raise Fault.usage(known.unknown(name, allowed), option, f"{option} {allowed[0]}")
    metric = measures.look_up(known, name, option, f"{option} {allowed[0]}")
    if direction not in ("", "max" if metric.higher_is_better else "min"):
        what = f"'{name}:{direction}' would look for the worst: of {metric.title} {metric.words}"
        raise Fault.usage(what, option, f"{option} {name}")
    return Objective(name, "maximize" if metric.higher_is_better else "minimize")


def distributions(ranges: Mapping[str, Range]) -> dict[str, Any]:
    """Optuna's distributions of the ranges."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    by_path: dict[str, Any] = {}
    for path, r in ranges.items():
        if r.choices is not None:
            by_path[path] = CategoricalDistribution(list(r.choices))
        elif isinstance(r.low, int) and isinstance(r.high, int):
            by_path[path] = IntDistribution(r.low, r.high, log=r.log, step=int(r.step or 1))
        else:
            by_path[path] = FloatDistribution(float(r.low or 0), float(r.high or 0), log=r.log, step=r.step)
    return by_path


def suggest(trial: Any, path: str, distribution: Any) -> Any:
    """The trial's value of a path: the one that it has already, else a new one from the study's sampler."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(path, distribution.choices)
    one = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    return one(path, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def grid(ranges: Mapping[str, Range]) -> list[dict[str, Any]]:
    """All combinations. Raises Fault where a range has neither choices nor a step."""
    columns = []
    for path, r in ranges.items():
        if r.choices is not None:
            columns.append(list(r.choices))
        elif r.step or (isinstance(r.low, int) and isinstance(r.high, int) and not r.log):
            low, high, step = r.low or 0, r.high or 0, r.step or 1
            columns.append([low + i * step for i in range(math.floor((high - low) / step + 1e-9) + 1)])
        else:
            raise Fault.recipe(f"a grid needs choices or a step for {path}", f"sweep.params.{path}", "--sampler tpe")
    return [dict(zip(ranges, values, strict=True)) for values in itertools.product(*columns)]


def sampler(name: str, seed: int, n_startup: int = 10) -> Any:
    """A sampler by name, seeded. The driver hands grid points in as trials to run."""
    import optuna

    if name in ("random", "grid"):
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=n_startup, multivariate=False)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    try:
        import cmaes  # noqa: F401
    except ModuleNotFoundError as error:
        what, next_step = "the sampler cmaes needs the package cmaes", "pip install cmaes, or --sampler tpe"
        raise Fault.usage(what, "--sampler", next_step) from error
    return optuna.samplers.CmaEsSampler(seed=seed)


def pruner(name: str) -> Any:
    """A pruner by name; intermediate values are those after each experience."""
    import optuna

    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1)
    return optuna.pruners.NopPruner()


def describe(ranges: Mapping[str, Range]) -> list[list[str]]:
    """Rows of ``--show-space``: path and what may be tried."""
    rows = []
    for path, r in ranges.items():
        tail = " (log)" if r.log else f" (step {r.step})" if r.step else ""
        rows.append([path, ", ".join(map(str, r.choices)) if r.choices is not None else f"{r.low} to {r.high}{tail}"])
    return rows


def parse_ranges(document: Mapping[str, Any]) -> dict[str, Range]:
    """Ranges from plain data, as ``study.json`` holds them."""
    try:
        return {path: Range.model_validate(r) for path, r in document.items()}
    except ValidationError as error:
        raise Fault.data(f"the study's ranges are damaged: {error}", "study.json", "start a new study") from error
