"""Methods of multi-task learning beside each other: every task, the change against single-task networks, what a
preference brings, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.errors import Fault
from ..runtime import facts
from ..runtime.asked import out_of

if TYPE_CHECKING:
    from ...analysis.metrics.methods_of_tasks import Compared
    from ...datasets.core.multi_task import MultiTaskInfo

Table = tuple[str, list[str], list[list[str]]]  # title, header, rows
PROBLEM = "multi_task"
VALUES = {  # column of the table by name
    "delta_m": "Δm % ↑",
    "hypervolume": "hypervolume ↑",
    "uniformity": "uniformity ↑",
    "preference_response": "preference\nresponse ↑",
    "macs": "10⁶ MACs ↓",
    "preference_macs": "10⁶ MACs, mean\nover preferences ↓",
    "parameters": "10³ parameters ↓",
}
UNITS = {"macs": 1e6, "preference_macs": 1e6, "parameters": 1e3}


def tasks(*targets: str | Path, single: str = "single_task", out: str | Path | None = None) -> list[dict[str, Any]]:
    """Finished runs of multi-task learning beside each other, one document a data set: the main metric of every task,
    Δ_m against the run of ``single`` with the same seed, hypervolume, uniformity, preference response, multiply-adds.

    Args:
        targets: invocations, runs, or folders of them; none: ``last``.
        single: the method whose runs are the single-task networks.
    """
    return document([str(target) for target in targets] or ["last"], out_of(out), single)


def document(targets: Sequence[str], out: Path, single: str) -> list[dict[str, Any]]:
    """The JSON document of ``suites tasks``: one a data set.

    Raises Fault where no run of several tasks is finished, or none is of the method ``single``.
    """
    from ...analysis.metrics.methods_of_tasks import TaskRun, compared
    from . import compare

    found, left_out = compare.collect(targets, out)
    chosen = [one for one in found if one.problem == PROBLEM and one.entrants]
    if not chosen:
        what = f"no run of several tasks (the problem '{PROBLEM}') is finished here"
        raise Fault.usage(what, " ".join(targets), "suites run slimmable_scenes")
    documents = []
    for one, name in zip(chosen, compare.names(chosen), strict=True):
        labels = compare.labels(one.entrants)
        runs = [
            TaskRun(label, key, summary)
            for label, entrant in zip(labels, one.entrants, strict=True)
            for key, summary in sorted(entrant.metrics.items())
        ]
        if single not in labels:
            what = f"{name}: no run of '{single}' to compare with (there are: {', '.join(labels)})"
            raise Fault.usage(
                what, "--single", f"suites run {one.suite} --method {single}, or name another with --single"
            )
        info = _info(next(iter(one.entrants[0].folders.values())))
        rows, reference = compared(runs, info.tasks, single)
        documents.append(
            {
                "task": name,
                "single": single,
                "tasks": {
                    task.name: {"metric": task.metric, "higher_is_better": task.higher_is_better} for task in info.tasks
                },
                "reference": None if reference is None else dict(zip(info.names, reference.tolist(), strict=True)),
                "methods": [_method(label, [row for row in rows if row.run.method == label]) for label in labels],
                "not_finished": left_out,
            }
        )
    return documents


def _info(folder: Path) -> MultiTaskInfo:
    from ...datasets.core.multi_task import MultiTaskInfo

    kept = facts.load(folder)
    if kept is None or not isinstance(kept.info, MultiTaskInfo):
        what = f"{facts.FILE} of this run says nothing of its tasks"
        raise Fault.data(what, str(folder / facts.FILE), "run it again with this version")
    return kept.info


def _method(label: str, rows: Sequence[Compared]) -> dict[str, Any]:
    """Mean over seeds, and the standard deviation of several."""
    return {
        "method": label,
        "seeds": [row.run.seed[0] if isinstance(row.run.seed, tuple) else row.run.seed for row in rows],
        "main": _means([row.main for row in rows]),
        "values": _means([row.values for row in rows]),
    }


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        each = [row[name] for row in rows if name in row]
        found[name] = {"mean": statistics.fmean(each), "n": len(each)}
        if len(each) > 1:
            found[name]["deviation"] = statistics.stdev(each)
    return found


def tables(documents: Sequence[Mapping[str, Any]]) -> list[Table]:
    """(title, header, rows) for the screen, one a data set."""
    shown = []
    for one in documents:
        names = [name for name in VALUES if any(name in row["values"] for row in one["methods"])]
        header = [f"{t}\n{f['metric']} {'↑' if f['higher_is_better'] else '↓'}" for t, f in one["tasks"].items()]
        rows = [
            [
                row["method"],
                *(_cell(row["main"].get(task)) for task in one["tasks"]),
                *(_cell(row["values"].get(name), UNITS.get(name, 1)) for name in names),
            ]
            for row in one["methods"]
        ]
        title = f"{one['task']}: Δm against {one['single']} of the same seed; mean ± standard deviation over seeds"
        if one["reference"]:
            point = ", ".join(f"{task} {value:.4g}" for task, value in one["reference"].items())
            title += f"; the hypervolume is a share of the box up to the losses {point}, of these runs alone"
        shown.append((title, ["method", *header, *(VALUES[name] for name in names)], rows))
    return shown


def _cell(value: Mapping[str, float] | None, unit: float = 1) -> str:
    if value is None:
        return "-"
    spread = f" ± {value['deviation'] / unit:.3f}" if "deviation" in value else ""
    return f"{value['mean'] / unit:.3f}{spread}"
