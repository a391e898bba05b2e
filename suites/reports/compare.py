"""Finished runs beside each other: a table a task, differences on the same seeds, and ranks over the tasks.

A task is a suite with its data; the seed of the data (``data.options.seed``) is no part of it but of the pairs.
Settings of one method that differ within a task are named by the fields in which they differ.

Where the seed of the data draws new random splits of one table, runs share rows: values of one split are averaged, and
intervals and tests are those of the corrected resampled t-test. Elsewhere they are Student's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...analysis.plots.palette import colour
from ..config import catalog, measures, protocol, registry, run_files
from ..config.documents import flat, read_yaml
from ..config.errors import Fault
from ..config.evidence import Tuned
from ..runtime import folders
from . import aggregates, continual, orders

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric

Key = tuple[int, int]  # seed of the run, seed of the data


@dataclass
class Entrant:
    """One method with one setting in one task: its folders and their metrics, by seeds."""

    method: str
    settings: dict[str, str]
    metrics: dict[Key, dict[str, float]] = field(default_factory=dict)
    folders: dict[Key, Path] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)  # protocol field -> why it differs, as its recipe says
    colour: str = ""  # of the method in pictures and in MLflow
    tuned: str = ""  # the study that chose its settings, in words
    made: dict[str, set[str]] = field(default_factory=dict)  # device and commit of its runs


@dataclass
class Task:
    """Runs on the same data for the same problem."""

    suite: str
    problem: str
    data: dict[str, str]
    family: str = ""
    entrants: list[Entrant] = field(default_factory=list)
    overlap: float = 0.0  # n_test / n_train of random splits of one table; 0: the data are no such splits
    sets: set[str] = field(default_factory=set)  # evaluation sets of some run
    profiles: set[str] = field(default_factory=set)
    checksums: dict[int, set[str]] = field(default_factory=dict)  # of the data, by the seed of the data
    unrecorded: bool = False  # some run does not say how its data were split (it is of an earlier version)

    @property
    def data_varies(self) -> bool:
        """Whether the runs have several seeds of the data."""
        return len({data_seed for entrant in self.entrants for _, data_seed in entrant.metrics}) > 1

    @property
    def resampled(self) -> bool:
        """Whether the runs are several random splits of one table."""
        return self.overlap > 0 and self.data_varies

    @property
    def test(self) -> str:
        """The test behind the intervals and p values, by name."""
        if self.resampled:
            return f"corrected resampled t-test (Nadeau and Bengio 2003; n_test / n_train = {self.overlap:.3g})"
        if self.unrecorded and self.data_varies:
            return "Student's t (too narrow if the data are splits of one table, which these older runs do not record)"
        return "Student's t"


def collect(targets: Sequence[str], out: Path) -> tuple[list[Task], list[str]]:
    """The tasks of the finished runs of ``targets`` (invocations, runs, or folders of them), and the names of runs
    that are not finished.

    Raises Fault where a target is nothing, or the same seed of the same setting was run twice.
    """
    tasks: dict[tuple[Any, ...], Task] = {}
    left_out: list[str] = []
    for invocation, names in folders.of_targets(targets, out):
        document = folders.plan_of(invocation)
        recipe = read_yaml(document["recipe"], str(invocation))
        data = flat(recipe["data"], "data") | {"data.source": str(document["data"]["source"])}
        if not recipe["data"].get("transforms"):  # runs of an earlier version have no such field
            data.pop("data.transforms", None)
        data_seed, hidden = int(data.pop("data.options.seed", 0)), data.pop("data.hidden_from_training", "[]")
        kind = (document["suite"], recipe["problem"], tuple(sorted(data.items())))
        task = tasks.setdefault(kind, Task(document["suite"], recipe["problem"], data, recipe.get("family", "")))
        task.sets |= set((recipe.get("evaluate") or {}).get("sets") or {})
        task.profiles.add(str(document.get("profile") or "none"))
        task.checksums.setdefault(data_seed, set()).add(str(document["data"].get("checksum", "")))
        rows = document["data"].get("rows")
        task.unrecorded |= rows is None
        if rows is not None and document["data"].get("random_split"):
            drawn = {**rows, **document["data"].get("drawn", {})}  # what a transform adds is no new row
            task.overlap = max(task.overlap, drawn["test"] / drawn["train"])
        for entry in document["runs"]:
            if entry["folder"] not in names:
                continue
            folder = invocation / entry["folder"]
            status = folders.look(folder)[0].get("status", "new")
            if status != "finished":
                left_out.append(f"{folder.parent.name}/{folder.name} ({status})")
                continue
            settings = flat(recipe["methods"][entry["method"]], f"methods.{entry['method']}")
            for section in ("model", "train"):
                settings |= flat(recipe[section], section)
            for same in ("train.threads", "train.path", "train.workers"):  # no number of a run depends on them
                settings.pop(same, None)
            settings["data.hidden_from_training"] = hidden  # what a method may see is its affair, not the task's
            one = _enter(task, entry["method"], settings, (int(entry["seed"]), data_seed), folder)
            one.protocol, one.reasons = catalog.protocol_of(recipe, entry["method"])
            one.colour = one.colour or colour(list(recipe["methods"]).index(entry["method"]))
            one.tuned = one.tuned or _tuned(recipe, entry["method"])
            one.made.setdefault("device", set()).add(str(document.get("device", "")))
            one.made.setdefault("commit", set()).add(
                str(entry.get("git", document.get("git", {})).get("commit", ""))[:12]
            )
    return list(tasks.values()), left_out


def _tuned(recipe: Mapping[str, Any], method: str) -> str:
    tuned = recipe.get("tuned")
    return Tuned.model_validate(tuned).words if tuned and tuned.get("method") == method else ""


def _enter(task: Task, method: str, settings: dict[str, str], key: Key, folder: Path) -> Entrant:
    for entrant in task.entrants:
        if (entrant.method, entrant.settings) == (method, settings):
            break
    else:
        entrant = Entrant(method, settings)
        task.entrants.append(entrant)
    if key in entrant.folders:
        raise Fault.usage(
            f"{method} with seed {key[0]} was run twice with the same settings and data",
            f"{entrant.folders[key]} and {folder}",
            "name one of the two: suites compare INVOCATION...",
        )
    entrant.folders[key] = folder
    entrant.metrics[key] = run_files.read(folder / "summary.json", run_files.Summary)
    return entrant


def labels(entrants: Sequence[Entrant]) -> list[str]:
    """The method's name (``oracle:`` before it where test rows chose its weights), with the fields in which settings
    of the same name differ."""
    named = []
    for one in entrants:
        same = [other.settings for other in entrants if other.method == one.method]
        fields = [f for f in one.settings if len({settings.get(f) for settings in same}) > 1]
        short = [f"{f.removeprefix(f'methods.{one.method}.')}={_rounded(one.settings[f])}" for f in fields]
        name = f"{one.method} {' '.join(short)}" if short else one.method
        named.append(f"oracle: {name}" if one.settings.get("train.selection") == "oracle" else name)
    return named


def names(tasks: Sequence[Task]) -> list[str]:
    """Suites, with the data field in which tasks of one suite differ: one in which all differ, else all such
    fields."""
    named = []
    for one in tasks:
        same = [other.data for other in tasks if other.suite == one.suite]
        fields = [f for f in one.data if len({data.get(f) for data in same}) > 1]
        enough = next(([f] for f in fields if len({data.get(f) for data in same}) == len(same)), fields)
        short = (f"{f.removeprefix('data.options.').removeprefix('data.')}={one.data[f]}" for f in enough)
        named.append(" ".join([one.suite, *short]))
    return named


def _rounded(text: str) -> str:
    """A number with more than four digits as three significant ones; all else as it is."""
    with suppress(ValueError):
        return f"{float(text):.3g}" if len(text) > 5 else text
    return text


def differs(tasks: Sequence[Task]) -> str | None:
    """The one field of the data in which the tasks, all of one suite, differ; None where it is not one."""
    fields = [f for f in tasks[0].data if len({task.data.get(f) for task in tasks}) > 1]
    return fields[0] if len(fields) == 1 and len({task.suite for task in tasks}) == 1 else None


def compare(
    targets: Sequence[str],
    out: Path,
    metric: str | Sequence[str] | None,
    than: str | None,
    rope: float | None = None,
    order: bool = False,
) -> dict[str, Any]:
    """The JSON document of ``suites compare``.

    Args:
        metric: a name of the summary; None: the problem's main metric after the last experience. Of several, the
            document is that of the first, with those of all under ``metrics``.
        than: a method to which all are compared; None: the best in the mean, task by task.
        rope: half the width of the region of practical equivalence, in the metric's unit; None: no such verdict.
        order: rank correlations of the methods' orders in every pair of tasks, under ``orders``.

    Raises Fault where nothing is finished, or no run has the metric or the method.
    """
    tasks, left_out = collect(targets, out)
    tasks = [task for task in tasks if task.entrants]
    if not tasks:
        raise Fault.usage("no run of these is finished", " ".join(targets), "suites resume last")
    asked = [metric] if metric is None or isinstance(metric, str) else list(dict.fromkeys(metric))
    documents = [{**_compared(tasks, one, than, rope, order), "not_finished": left_out} for one in asked or [None]]
    return documents[0] if len(documents) == 1 else {**documents[0], "metrics": documents}


def _compared(
    tasks: Sequence[Task], metric: str | None, than: str | None, rope: float | None, order: bool
) -> dict[str, Any]:
    """The document of one metric."""
    problems = {task.problem for task in tasks}
    if metric is None and len(problems) > 1:
        what = f"tasks of different problems ({', '.join(sorted(problems))}) have no common metric"
        raise Fault.usage(what, "--metric", "name one with --metric, or compare them apart")
    metric = metric or f"{registry.problem(tasks[0].problem).main}/last"
    measured = {name for task in tasks for one in task.entrants for values in one.metrics.values() for name in values}
    if metric not in measured:
        what = f"no run has the metric '{metric}' (there are: {', '.join(sorted(measured))})"
        raise Fault.usage(what, "--metric", "suites compare ... --metric NAME")
    declared = _direction(tasks, metric)
    over = differs(tasks)
    ways = {name: _direction(tasks, name) for name in continual.names(metric) if name in measured}
    documents, measured_in = [], []
    for task, name in zip(tasks, names(tasks), strict=True):
        values = values_of(task, metric)
        if values:
            document = _task_document(task, name, values, declared, than, rope)
            beside = {one: values_of(task, one) for one in ways}
            overlap = task.overlap if task.resampled else 0.0
            document["continual"] = continual.measured(beside, ways, overlap)
            documents.append({**document, "at": task.data[over] if over else None})
            measured_in.append(values)
    apart = aggregates.apart(tasks)
    several = len(documents) > 1
    higher = bool(declared.higher_is_better)
    return {
        "metric": metric,
        "higher_is_better": declared.higher_is_better,
        "direction": declared.words,
        "unit": declared.unit,
        "tasks": documents,
        "over": over,
        "ranks": _ranks(documents, higher) if several and not apart else None,
        "orders": orders.between([one["task"] for one in documents], measured_in, higher) if order else None,
        "not_comparable": apart if several else [],
        "aggregate": aggregates.aggregate(measured_in, declared, apart if several else []) if documents else None,
    }


def values_of(task: Task, metric: str) -> dict[str, Mapping[Any, float]]:
    """The values of each entrant that was measured, by label and then by seeds (of splits that share rows: by split);
    NaN is left out."""
    entrants = dict(zip(labels(task.entrants), task.entrants, strict=True))
    values = {label: _values(entrant, metric, task.resampled) for label, entrant in entrants.items()}
    return {label: by_key for label, by_key in values.items() if by_key}


def by_entrant(task: Task, metric: str) -> list[tuple[Entrant, Mapping[Any, float]]]:
    """Each entrant with its values of a metric, by seeds or splits as in :func:`values_of`."""
    return [(entrant, _values(entrant, metric, task.resampled)) for entrant in task.entrants]


def _task_document(
    task: Task,
    name: str,
    values: Mapping[str, Mapping[Any, float]],
    declared: Metric,
    than: str | None,
    rope: float | None,
) -> dict[str, Any]:
    """One task's methods, best first, each with its difference from ``than`` (None: the best)."""
    from ...analysis import equivalence, statistics

    entrants = dict(zip(labels(task.entrants), task.entrants, strict=True))
    overlap = task.overlap if task.resampled else 0.0
    means = {label: statistics.estimate(list(v.values()), overlap) for label, v in values.items()}
    best = (max if declared.higher_is_better else min)(means, key=lambda label: means[label].mean)
    if than is not None and than not in values:
        what = f"{name}: there is no '{than}' to compare with (there are: {', '.join(values)})"
        raise Fault.usage(what, "--than", "suites compare ... --than METHOD")
    base = than or best
    differences = {label: statistics.paired(v, values[base], overlap) for label, v in values.items() if label != base}
    adjusted = dict(zip(differences, statistics.holm([d.p for d in differences.values()]), strict=True))
    rows = []
    for label in sorted(means, key=lambda label: means[label].mean, reverse=bool(declared.higher_is_better)):
        each = [float(value) for _, value in sorted(values[label].items())]
        row = {"method": label, **asdict(means[label]), "values": each, "colour": entrants[label].colour}
        row["tuned"] = entrants[label].tuned
        if label != base:
            verdict = _verdict(differences[label].mean, adjusted[label], declared)
            row |= {"difference": asdict(differences[label]), "p_holm": adjusted[label], "verdict": verdict}
            row["smallest_detectable"] = statistics.smallest_detectable(differences[label])
            if rope is not None and not adjusted[label] < 0.05:
                found = equivalence.rope(differences[label], rope, bool(declared.higher_is_better))
                row["rope"] = {"width": rope, **asdict(found)}
        rows.append(row)
    return {
        "task": name,
        "than": base,
        "test": task.test,
        "unit": "splits" if task.resampled else "seeds",
        "not_comparable": aggregates.marks(task, entrants, values),
        "unequal": protocol.differences({n: (e.protocol, e.reasons) for n, e in entrants.items()}),
        "methods": rows,
    }


def _values(entrant: Entrant, metric: str, resampled: bool) -> Mapping[Any, float]:
    """The metric of each run of an entrant by its seeds, or (``resampled``) by splits; NaN is left out."""
    by_key = {key: m[metric] for key, m in entrant.metrics.items() if not math.isnan(m.get(metric, math.nan))}
    return _of_splits(by_key) if resampled and by_key else by_key


def _direction(tasks: Sequence[Task], metric: str) -> Metric:
    """The metric as all tasks' problems declare it. Raises Fault where one does not, or directions differ."""
    declared = []
    for task in tasks:
        known = measures.metrics(task.problem, sets=task.sets)
        if metric not in known:  # methods declare their costs and checks; importing them takes seconds
            uses = {e.settings.get(f"methods.{e.method}.use", e.method) for e in task.entrants}
            known = measures.metrics(task.problem, {registry.method(use, task.family) for use in uses}, task.sets)
        declared.append(measures.look_up(known, metric, "--metric", "suites compare ... --metric NAME"))
    if len({one.higher_is_better for one in declared}) > 1:
        what = f"the problems of these tasks do not agree on which '{metric}' is better"
        raise Fault.usage(what, "--metric", "compare them apart")
    return declared[0]


def _of_splits(values: Mapping[Key, float]) -> dict[int, float]:
    """The mean of the runs on each split: they share its rows, and only splits count."""
    by_split: dict[int, list[float]] = {}
    for (_, split), value in values.items():
        by_split.setdefault(split, []).append(value)
    return {split: sum(of) / len(of) for split, of in by_split.items()}


def _verdict(difference: float, p: float, metric: Metric) -> str:
    """In words, at the level 0.05 after Holm: significantly better or worse, or which of the two in the mean alone."""
    if math.isnan(difference):
        return "no seed in common"
    if math.isnan(p):
        return f"one seed: {metric.judge(difference)}, how sure is unknown"
    way = metric.judge(difference)
    return way if p < 0.05 else "not significant" + ("" if way == "equal" else f" ({way} in the mean)")


def _ranks(documents: list[dict[str, Any]], higher: bool) -> dict[str, Any] | None:
    """Average ranks over the tasks, of the methods that every task has; None for fewer than two."""
    from ...analysis import statistics

    means = [{row["method"]: row["mean"] for row in document["methods"]} for document in documents]
    common = [method for method in means[0] if all(method in one for one in means)]
    if len(common) < 2:
        return None
    table = [[one[method] for method in common] for one in means]
    average = dict(zip(common, statistics.ranks(table, higher), strict=True))
    pairs = statistics.nemenyi(table)
    return {
        "tasks": len(means),
        "average_rank": dict(sorted(average.items(), key=lambda pair: pair[1])),
        "left_out": sorted({method for one in means for method in one} - set(common)),
        "friedman_p": statistics.friedman(table),
        "nemenyi_p": {a: dict(zip(common, row, strict=True)) for a, row in zip(common, pairs, strict=True)},
        "critical_difference": statistics.critical_difference(len(common), len(means)),
    }
