"""Several tasks of a comparison as one, and what keeps runs from being averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric
    from .compare import Entrant, Task

ONE_SCALE = ("share", "")  # units of metrics that mean the same on every data set
Values = Mapping[str, Mapping[Any, float]]  # method -> its values by seed


def marks(task: Task, entrants: Mapping[str, Entrant], values: Values) -> list[str]:
    """Why rows of one task are not comparable as they stand, a sentence each."""
    found = []
    seeds = {label: set(by_key) for label, by_key in values.items()}
    common = set.intersection(*seeds.values())
    fewer = [f"{label} has {len(of)}" for label, of in seeds.items() if of != common]
    if fewer:
        unit = "splits" if task.resampled else "seeds"
        counted = f"{', '.join(fewer)}; {len(common)} in common"
        found.append(f"means are over different {unit} ({counted}): only paired differences compare")
    chosen = {label: entrants[label].settings.get("train.selection", "") for label in values}
    if len(set(chosen.values())) > 1:
        found.append(f"weights were chosen by different rules: {_by_value(chosen)}")
    for name, words in (("device", "devices"), ("commit", "versions of the code")):
        made = {label: ", ".join(sorted(entrants[label].made.get(name, ()))) for label in values}
        if len({one for label in values for one in entrants[label].made.get(name, ())}) > 1:
            found.append(f"runs are of different {words}: {_by_value(made)}")
    tuned = {label: entrants[label].tuned for label in values}
    if any(tuned.values()) and len(set(tuned.values())) > 1:
        found.append(f"settings of some rows were tuned: {_by_value({k: v or 'not tuned' for k, v in tuned.items()})}")
    twice = sorted(seed for seed, checksums in task.checksums.items() if len(checksums) > 1)
    if twice:
        listed = ", ".join(map(str, twice))
        found.append(f"the data of seed {listed} are not the same in all runs (their checksums differ)")
    return found


def _by_value(named: Mapping[str, str]) -> str:
    """``VALUE (NAME, NAME); VALUE (...)``."""
    by: dict[str, list[str]] = {}
    for name, value in named.items():
        by.setdefault(value or "unknown", []).append(name)
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in by.items())


def apart(tasks: Sequence[Task]) -> list[str]:
    """Why an average over these tasks would say nothing, a sentence each."""
    found = []
    sources = {task.data.get("data.source", "unknown") for task in tasks}
    if len(sources) > 1:
        found.append(f"tasks with {' and '.join(sorted(sources))} data")
    profiles = {profile for task in tasks for profile in task.profiles}
    if len(profiles) > 1:
        found.append(f"runs of the profiles {', '.join(sorted(profiles))}")
    problems = {task.problem for task in tasks}
    if len(problems) > 1:
        found.append(f"tasks of different problems ({', '.join(sorted(problems))})")
    return found


def aggregate(tasks: Sequence[Values], declared: Metric, why_not: Sequence[str]) -> dict[str, Any]:
    """Interquartile means, win rates and performance profiles over the tasks of the methods that all tasks have.

    ``tasks``: of each the values of its methods. Where the metric has a scale of its own on every data set, or
    ``why_not`` says something, ``left_out`` says why; win rates need no common scale.
    """
    from ...analysis import aggregates

    higher = bool(declared.higher_is_better)
    methods = [name for name in tasks[0] if all(name in one for one in tasks)]
    document: dict[str, Any] = {"methods": methods, "left_out": list(why_not)}
    if why_not:
        return document
    by_seed = {name: [one[name] for one in tasks] for name in methods}
    document["win_rates"] = {
        name: {other: aggregates.win_rate(by_seed[name], by_seed[other], higher) for other in methods if other != name}
        for name in methods
    }
    if len(tasks) > 1 and declared.unit not in ONE_SCALE:
        document["left_out"] = [f"{declared.name} is in units of each data set ({declared.unit}): no mean over tasks"]
        return document
    runs = {name: [list(task.values()) for task in each] for name, each in by_seed.items()}
    document["interquartile_mean"] = {name: asdict(aggregates.interquartile_mean(each)) for name, each in runs.items()}
    at = aggregates.thresholds(list(runs.values()))
    profiles = {name: aggregates.performance_profile(each, at, higher) for name, each in runs.items()}
    document["profiles"] = {"at": at, "share": profiles}
    return document
