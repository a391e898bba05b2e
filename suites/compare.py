"""Finished runs beside each other: a table a task, differences on the same seeds, and ranks over the tasks.

A task is a suite with its data; the seed of the data (``data.options.seed``) is no part of it but of the pairs. Settings of one method that differ within a
task are told apart by the fields in which they differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import catalog, folders
from .errors import Fault
from .recipe import flat, read_yaml

Key = tuple[int, int]  # seed of the run, seed of the data


@dataclass
class Entrant:
    """One method with one setting in one task: its folders and their metrics, by seeds."""

    method: str
    settings: dict[str, str]
    metrics: dict[Key, dict[str, float]] = field(default_factory=dict)
    folders: dict[Key, Path] = field(default_factory=dict)


@dataclass
class Task:
    """Runs on the same data for the same problem."""

    suite: str
    problem: str
    data: dict[str, str]
    entrants: list[Entrant] = field(default_factory=list)


def collect(targets: Sequence[str], out: Path) -> tuple[list[Task], list[str]]:
    """The tasks of the finished runs of ``targets`` (invocations, runs, or folders of them), and the names of runs that are not finished.

    Raises Fault where a target is nothing, or the same seed of the same setting was run twice.
    """
    tasks: dict[tuple[Any, ...], Task] = {}
    left_out: list[str] = []
    for invocation, names in _found(targets, out):
        document = folders.plan_of(invocation)
        recipe = read_yaml(document["recipe"], str(invocation))
        data = flat(recipe["data"], "data") | {"data.source": str(document["data"]["source"])}
        data_seed, hidden = int(data.pop("data.options.seed", 0)), data.pop("data.hidden_from_training", "[]")
        kind = (document["suite"], recipe["problem"], tuple(sorted(data.items())))
        task = tasks.setdefault(kind, Task(document["suite"], recipe["problem"], data))
        for entry in document["runs"]:
            if entry["folder"] not in names:
                continue
            folder = invocation / entry["folder"]
            if folders.status(folder) != "finished":
                left_out.append(f"{folder.parent.name}/{folder.name} ({folders.status(folder)})")
                continue
            settings = flat(recipe["methods"][entry["method"]], f"methods.{entry['method']}")
            for section in ("model", "train"):
                settings |= flat(recipe[section], section)
            settings.pop("train.threads", None)
            settings["data.hidden_from_training"] = hidden  # what a method may see is its affair, not the task's
            _enter(task, entry["method"], settings, (int(entry["seed"]), data_seed), folder)
    return list(tasks.values()), left_out


def _found(targets: Sequence[str], out: Path) -> list[tuple[Path, list[str]]]:
    """(invocation, names of its runs) of every target, each invocation once."""
    found: dict[Path, list[str]] = {}
    for target in targets:
        place = Path(target)
        inside = []
        if place.is_dir() and not (place / "invocation.json").exists():
            inside = [path for path in folders.invocations(place) if path.parent.name != "trials"]
        pairs = [folders.find(str(path), out) for path in inside] or [folders.find(target, out)]
        for invocation, names in pairs:
            known = found.setdefault(invocation, [])
            known += [name for name in names if name not in known]
    return list(found.items())


def _enter(task: Task, method: str, settings: dict[str, str], key: Key, folder: Path) -> None:
    for entrant in task.entrants:
        if (entrant.method, entrant.settings) == (method, settings):
            break
    else:
        entrant = Entrant(method, settings)
        task.entrants.append(entrant)
    if key in entrant.folders:
        raise Fault(
            code="usage",
            what=f"{method} with seed {key[0]} was run twice with the same settings and data",
            where=f"{entrant.folders[key]} and {folder}",
            next="name one of the two: suites compare INVOCATION...",
        )
    entrant.folders[key] = folder
    entrant.metrics[key] = folders.read_json(folder / "summary.json")


def labels(entrants: Sequence[Entrant]) -> list[str]:
    """The method's name (``oracle:`` before it where test rows chose its weights), with the fields in which settings of the same name differ."""
    named = []
    for one in entrants:
        same = [other.settings for other in entrants if other.method == one.method]
        fields = [f for f in one.settings if len({settings.get(f) for settings in same}) > 1]
        short = [f"{f.removeprefix(f'methods.{one.method}.')}={_rounded(one.settings[f])}" for f in fields]
        name = f"{one.method} {' '.join(short)}" if short else one.method
        named.append(f"oracle: {name}" if one.settings.get("train.selection") == "oracle" else name)
    return named


def names(tasks: Sequence[Task]) -> list[str]:
    """Suites, with the data field in which tasks of one suite differ: one that tells all apart, else all such fields."""
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


def compare(targets: Sequence[str], out: Path, metric: str | None, than: str | None) -> dict[str, Any]:
    """The JSON document of ``suites compare``.

    Args:
        metric: a name of the summary; None: the problem's main metric after the last experience.
        than: a method to which all are compared; None: the best in the mean, task by task.

    Raises Fault where nothing is finished, or no run has the metric or the method.
    """
    from ..analysis import compare as statistics

    tasks, left_out = collect(targets, out)
    tasks = [task for task in tasks if task.entrants]
    if not tasks:
        raise Fault(
            code="usage", what="no run of these is finished", where=" ".join(targets), next="suites resume last"
        )
    problems = {task.problem for task in tasks}
    if metric is None and len(problems) > 1:
        raise Fault(
            code="usage", what=f"tasks of different problems ({', '.join(sorted(problems))}) have no common metric",
            where="--metric", next="name one with --metric, or compare them apart",
        )  # fmt: skip
    metric = metric or f"{catalog.problem(tasks[0].problem).main}/last"
    measured = {
        name for task in tasks for entrant in task.entrants for values in entrant.metrics.values() for name in values
    }
    if metric not in measured:
        raise Fault(
            code="usage", what=f"no run has the metric '{metric}' (there are: {', '.join(sorted(measured))})", where="--metric",
            next="suites compare ... --metric NAME",
        )  # fmt: skip
    higher = _higher_is_better(tasks[0].problem, metric)
    field_ = differs(tasks)
    documents: list[dict[str, Any]] = []
    for task, name in zip(tasks, names(tasks), strict=True):
        values: dict[str, dict[Key, float]] = {}
        for label, entrant in zip(labels(task.entrants), task.entrants, strict=True):
            found = {key: m[metric] for key, m in entrant.metrics.items() if not math.isnan(m.get(metric, math.nan))}
            if found:
                values[label] = found
        if not values:
            continue
        means = {label: statistics.estimate(list(v.values())) for label, v in values.items()}
        best = (max if higher else min)(means, key=lambda label: means[label].mean)
        if than is not None and than not in values:
            raise Fault(
                code="usage", what=f"{name}: there is no '{than}' to compare with (there are: {', '.join(values)})", where="--than",
                next="suites compare ... --than METHOD",
            )  # fmt: skip
        base = than or best
        differences = {label: statistics.paired(v, values[base]) for label, v in values.items() if label != base}
        adjusted = dict(zip(differences, statistics.holm([d.p for d in differences.values()]), strict=True))
        order = sorted(means, key=lambda label: means[label].mean, reverse=higher)
        documents.append(
            {
                "task": name,
                "at": task.data[field_] if field_ else None,
                "than": base,
                "methods": [
                    {"method": label, **asdict(means[label])}
                    | (
                        {"difference": asdict(differences[label]), "p_holm": adjusted[label], "verdict": _verdict(differences[label].mean, adjusted[label], higher)}
                        if label != base
                        else {}
                    )
                    for label in order
                ],
            }
        )  # fmt: skip
    return {
        "metric": metric, "higher_is_better": higher, "tasks": documents, "not_finished": left_out, "over": field_,
        "ranks": _ranks(documents, higher) if len(documents) > 1 else None,
    }  # fmt: skip


def _higher_is_better(problem: str, metric: str) -> bool:
    """Whether more of a metric is better: the problem's word for its main one, else by the name of the measure."""
    kind = catalog.problem(problem)
    measure = metric.rpartition("/")[0] or metric
    if measure == kind.main:
        return bool(kind.higher_is_better) and not metric.endswith("/forgetting")
    lower = ("mae", "mse", "rmse", "gm", "wer", "gap", "forgetting", "loss", "cost", "seconds", "memory")
    return not any(part in lower for part in metric.replace("_", "/").split("/"))


def _verdict(mean: float, p: float, higher: bool) -> str:
    """In words; ``not told apart`` at the level 0.05 after Holm."""
    if math.isnan(p):
        return "one seed: unknown"
    if p >= 0.05:
        return "not told apart"
    return "better" if (mean > 0) == higher else "worse"


def _ranks(documents: list[dict[str, Any]], higher: bool) -> dict[str, Any] | None:
    """Average ranks over the tasks, of the methods that every task has; None for fewer than two."""
    from ..analysis import compare as statistics

    means = [{row["method"]: row["mean"] for row in document["methods"]} for document in documents]
    common = [method for method in means[0] if all(method in one for one in means)]
    if len(common) < 2:
        return None
    table = [[one[method] for method in common] for one in means]
    average = dict(zip(common, statistics.ranks(table, higher), strict=True))
    return {
        "tasks": len(means),
        "average_rank": dict(sorted(average.items(), key=lambda pair: pair[1])),
        "left_out": sorted({method for one in means for method in one} - set(common)),
        "friedman_p": statistics.friedman(table),
        "critical_difference": statistics.critical_difference(len(common), len(means)),
    }


def picture(document: Mapping[str, Any], path: Path) -> None:
    """The metric over the field in which the tasks differ, a line a method. Raises Fault where they differ in no or several fields."""
    from ..analysis.plots import metric_over_field

    if document["over"] is None:
        raise Fault(
            code="usage", what=f"{len(document['tasks'])} tasks do not differ in one field of the data: there is nothing to draw the metric over",
            where="--picture", next="compare runs whose data.options differ in one field, data.options.rho say",
        )  # fmt: skip
    series: dict[str, list[tuple[str, float, float]]] = {}
    for task in document["tasks"]:
        for row in task["methods"]:
            series.setdefault(row["method"], []).append((task["at"], row["mean"], row["half"]))
    metric_over_field(series, document["over"], f"{document['metric']}, 95 % interval over seeds", path)


def tables(document: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, header, rows) for the screen and for Markdown: one a task, or one of all tasks with the average rank."""
    found = []
    for task in document["tasks"]:
        rows = []
        for row in task["methods"]:
            d = row.get("difference")
            rows.append([
                row["method"], str(row["n"]), pm(row["mean"], row["half"]), pm(d["mean"], d["half"], "+") if d else "",
                probability(row["p_holm"]) if d else "", row.get("verdict", ""),
            ])  # fmt: skip
        title = f"{task['task']}: {document['metric']}, mean ± half of the 95 % interval over seeds"
        header = ["method", "seeds", document["metric"], f"against {task['than']}, paired", "p (Holm)", "verdict"]
        found.append((title, header, rows))
    if document["ranks"]:
        found.append(_ranked(document))
    return found


def _ranked(document: Mapping[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    ranked = document["ranks"]
    cells = [{row["method"]: row for row in task["methods"]} for task in document["tasks"]]
    rows = [
        [method, f"{rank:.2f}", *(pm(one[method]["mean"], one[method]["half"]) for one in cells)]
        for method, rank in ranked["average_rank"].items()
    ]
    title = (
        f"average rank over {ranked['tasks']} tasks; Friedman's p {probability(ranked['friedman_p'])}; ranks nearer than "
        f"{ranked['critical_difference']:.2f} (Nemenyi, 0.05) are not told apart"
    )
    return title, ["method", "rank", *(task["task"] for task in document["tasks"])], rows


def probability(p: float) -> str:
    """Three decimals; ``-`` where there is none."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def pm(mean: float, half: float, sign: str = "") -> str:
    """``mean ± half`` with the digits that the size asks for."""
    digits = 0 if abs(mean) >= 1000 else 1 if abs(mean) >= 100 else 3
    text = f"{mean:{sign},.{digits}f}"
    return text if math.isnan(half) else f"{text} ± {half:,.{digits}f}"


def markdown(document: Mapping[str, Any]) -> str:
    """The tables as Markdown."""
    parts = []
    for title, header, rows in tables(document):
        lines = [title, "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        parts.append("\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]))
    return "\n\n".join(parts) + "\n"
