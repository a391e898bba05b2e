"""Several tasks of one image: measures of every task, at several widths of the network and under preferences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.multi_task import MultiTaskInfo, Task
from ...datasets.core.preferences import simplex
from ...datasets.core.source import require
from ..metrics.continual import forgotten
from ..metrics.methods_of_tasks import dominated_share
from ..metrics.metric import Metric
from ..metrics.multi_task import preference_response, uniformity
from ..metrics.tasks import TaskMeasure, constant_loss, measure_of
from .evaluator import Data, Evaluator, Measurement, MissingColumnError, Outputs, Picture, Rows

COSTS = ("macs", "parameters")
_TASK = re.compile(r"task/(?P<task>[^@/]+)(@(?P<at>.+))?")
_COST = re.compile(rf"(?P<cost>{'|'.join(COSTS)})(@(?P<at>.+))?")
_WIDTH = re.compile(r"e(?P<e>[0-9.,e-]+)d(?P<d>[0-9.e-]+)")
_MAIN = re.compile(r"(?P<place>task|width/[^/]+)/(?P<task>[^/]+)/(?P<metric>[^/]+)")
_PREFERENCE = re.compile(r"p(\d+)")
_MEASURES = (
    ("loss", False, "", "loss"),
    ("miou", True, "share", "mean intersection over union of all classes"),
    ("pixel_accuracy", True, "share", "share of the pixels with the right class"),
    ("accuracy", True, "share", "accuracy"),
    ("rmse", False, "", "root mean square error"),
    ("log_rmse", False, "", "root mean square error of logarithms"),
    ("mean_angle", False, "degrees", "mean angle to the true normal"),
    ("angle_rmse", False, "degrees", "root mean square angle to the true normal"),
    ("pct_11_25", True, "%", "normals within 11.25 degrees"),
    ("pct_22_5", True, "%", "normals within 22.5 degrees"),
    ("pct_30", True, "%", "normals within 30 degrees"),
    ("max_miou", True, "share", "largest mean IoU over thresholds"),
    ("max_f", True, "share", "largest F over thresholds"),
    ("mae", False, "", "mean absolute error"),
)
Array = NDArray[np.float64]


def _declared() -> Iterator[Metric]:
    for name, higher, unit, title in _MEASURES:
        yield Metric(f"task/*/{name}", higher, unit, title)
        if name in ("loss", "miou", "rmse", "mean_angle", "max_miou", "accuracy", "mae"):
            yield Metric(f"width/*/*/{name}", higher, unit, f"{title}, at widths of encoder and decoder")
    for name in COSTS:
        words = "multiply-adds of one image" if name == "macs" else "active parameters"
        yield Metric(name, False, "", f"{words}, at full width")
        yield Metric(f"width/*/{name}", False, "", f"{words}, at widths of encoder and decoders")
        yield Metric(f"preference/{name}", False, "", f"{words}, mean over the preferences")


def _forgetting() -> Iterator[Metric]:
    worse = "how much worse its main metric is than the best after an earlier experience"
    mean = "the same as a share of that best value, mean over the tasks of earlier experiences"
    yield Metric("task/*/forgetting", False, "", f"{worse}, at full width")
    yield Metric("width/*/*/forgetting", False, "", f"{worse}, at widths of encoder and decoder")
    yield Metric("forgetting", False, "", f"{mean}, at full width")
    yield Metric("width/*/forgetting", False, "", f"{mean}, at widths of encoder and decoders")


class MultiTask(Evaluator):
    """Predictions hold ``task/NAME`` [B, outputs, ...] of every task at full width, and may hold

    - ``task/NAME@e0.25d0.5``: at encoder width 0.25 and width 0.5 of the task's decoder;
    - ``task/NAME@p7``: under the preference number 7 of :func:`~holdfast.datasets.core.preferences.simplex`;
    - ``macs``, ``parameters`` [B] (the same in all rows): multiply-adds of one image, and active parameters; both also
      with ``@e0.25d0.5`` (all decoders at 0.5) or ``@p7``.

    ``weighted_loss`` is Σ ω_i L_i at full width. Over the preferences r, with the losses L(r) of one sub-network each
    (a method that cannot be told a preference has the same for all): ``hypervolume``, of the losses divided by those of
    the best constant prediction on training rows, which is the reference: the share of that box which they dominate
    (more than 8 tasks: estimated with 100,000 points); ``uniformity``, the mean over r of that of ω_i L_i(r); and
    ``preference_response``. What is measured at widths and under preferences is left out for validation rows, and a
    task without a label in the rows is left out.

    Of tasks in sequence, ``task/NAME/forgetting`` and ``width/e0.25d0.5/NAME/forgetting``: how much worse the task's
    main metric is than the best after an earlier experience, in its unit; ``forgetting`` and
    ``width/e0.25d0.5/forgetting``: the same as a share of that best value, mean over the tasks that had one.
    """

    main: ClassVar[str] = "weighted_loss"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("weighted_loss", False, "", "sum of the tasks' losses times their weights, at full width"),
        Metric("hypervolume", True, "share", "share of the box up to constant predictions that the losses dominate"),
        Metric("uniformity", True, "", "how equal the preferred losses are, mean over preferences"),
        Metric("preference_response", True, "", "rank correlation of a task's preference and its negative loss"),
        *_declared(),
        *_forgetting(),
        Metric("preference/*/*/loss", False, "", "loss under a preference"),
    )
    table: ClassVar[Sequence[str]] = (
        "weighted_loss/last",
        "weighted_loss/average",
        "weighted_loss/forgetting",
        "forgetting/last",
        *(f"task/*/{name}/last" for name in ("miou", "rmse", "mean_angle", "max_miou", "accuracy", "mae")),
        "hypervolume/last",
        "uniformity/last",
        "preference_response/last",
        "macs/last",
        "cost/seconds_per_step",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.info = require(data.info, MultiTaskInfo, "the problem 'multi_task'")
        for split, table in data.splits.items():
            absent = [task.column for task in self.info.tasks if task.column not in table.columns]
            if absent:
                raise MissingColumnError(f"the split '{split}' has no column {', '.join(absent)}")

    def measurement(self, split: str) -> MultiTaskMeasurement:
        columns = self.data.splits[split].columns
        targets = {task.name: columns[task.column].numpy() for task in self.info.tasks}
        return MultiTaskMeasurement(self.info.tasks, targets, self, whole=split != "valid")

    def over_experiences(self, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
        values: dict[str, float] = {}
        shares: dict[str, list[float]] = {}
        for (place, name), each in self.courses(rows).items():
            if len(each) < 2:
                continue  # it has just arrived
            task = self.info.task(name)
            lost = forgotten(each, task.higher_is_better)
            best = (max if task.higher_is_better else min)(each[:-1])
            values[f"{place or 'task'}/{name}/forgetting"] = lost
            if best:
                shares.setdefault(place, []).append(lost / abs(best))
        return values | {f"{place}/forgetting".lstrip("/"): float(np.mean(each)) for place, each in shares.items()}

    def courses(self, rows: Sequence[Mapping[str, float]]) -> dict[tuple[str, str], list[float]]:
        """By place (``width/e0.25d0.5``; empty: full width) and task, the task's main metric after every experience
        from its first one on.
        """
        found: dict[tuple[str, str], list[float]] = {}
        for name in rows[-1]:
            cut = _MAIN.fullmatch(name)
            if cut is not None and cut["metric"] == self.info.task(cut["task"]).metric:
                place = "" if cut["place"] == "task" else cut["place"]
                found[place, cut["task"]] = [row[name] for row in rows if name in row]
        return found

    def course(self, rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, Picture]]:
        """The main metric of every task over the experiences, and what of it was forgotten at every pair of widths."""
        from ..plots import sequence as plots

        if len(rows) < 2:
            return
        lines: dict[str, dict[tuple[float, float], list[float]]] = {task.name: {} for task in self.info.tasks}
        for (place, name), each in self.courses(rows).items():
            width = _WIDTH.fullmatch(place.removeprefix("width/")) if place else None
            if not place:
                lines[name].setdefault((1.0, 1.0), each)
            elif width is not None and "," not in width["e"]:
                lines[name][float(width["e"]), float(width["d"])] = each
        lines = {name: each for name, each in lines.items() if each}
        yield "tasks.png", partial(plots.courses, lines, self.info.tasks, len(rows))
        lost = {
            task.name: {pair: forgotten(v, task.higher_is_better) for pair, v in lines[task.name].items() if len(v) > 1}
            for task in self.info.tasks
            if task.name in lines
        }
        lost = {name: table for name, table in lost.items() if len(table) > 1}
        if lost:
            yield "forgetting.png", partial(plots.forgetting_by_width, lost, self.info.tasks)

    @cached_property
    def constants(self) -> Array:
        """Loss of the best constant prediction of each task on the training rows, [N]."""
        train = self.data.splits["train"].columns
        return np.array([constant_loss(task, train[task.column].numpy()) for task in self.info.tasks])


class MultiTaskMeasurement(Measurement):
    """Of the rows of one split: ``targets`` [rows, ...] by task. ``whole`` False: at full width alone."""

    def __init__(
        self, tasks: Sequence[Task], targets: Mapping[str, Any], problem: MultiTask, whole: bool = True
    ) -> None:
        self.tasks, self.targets, self.problem, self.whole = tasks, targets, problem, whole
        self.by_name = {task.name: task for task in tasks}
        self.measures: dict[tuple[str, str], TaskMeasure] = {}  # by task and what stands behind the @
        self.costs: dict[tuple[str, str], float] = {}

    def update(self, outputs: Outputs, rows: Rows) -> None:
        """Raises ValueError for predictions of a task that the data does not have, or of another shape."""
        for name, value in outputs.items():
            cost = _COST.fullmatch(name)
            if cost is not None and len(value):
                self.costs[cost["cost"], cost["at"] or ""] = float(np.asarray(value).reshape(-1)[0])
            found = _TASK.fullmatch(name)
            if found is None or (found["at"] and not self.whole):
                continue
            task, at = self.by_name.get(found["task"]), found["at"] or ""
            if task is None:
                raise ValueError(f"the method predicts '{name}', and the tasks are {', '.join(self.by_name)}")
            if (task.name, at) not in self.measures:
                self.measures[task.name, at] = measure_of(task, whole=not _PREFERENCE.fullmatch(at))
            self.measures[task.name, at].update(np.asarray(value), self.targets[task.name][rows])

    def compute(self) -> dict[str, float]:
        values: dict[str, float] = {}
        weighted = [self.loss(task.name) * task.weight for task in self.tasks]
        known = [loss for loss in weighted if not np.isnan(loss)]
        values["weighted_loss"] = float(sum(known)) if known else float("nan")
        for (name, at), measure in self.measures.items():
            found = {key: value for key, value in measure.compute().items() if not np.isnan(value)}
            if not at:
                values |= {f"task/{name}/{key}": value for key, value in found.items()}
            elif _PREFERENCE.fullmatch(at):
                values |= {f"preference/{at}/{name}/{key}": value for key, value in found.items()}
            else:
                main = {"loss", self.by_name[name].metric}
                values |= {f"width/{at}/{name}/{key}": value for key, value in found.items() if key in main}
        return values | self._costs() | (self._preferences() if self.whole else {})

    def loss(self, task: str, at: str = "") -> float:
        """Loss of a task at full width, at widths (``e0.25d1``) or under a preference (``p3``); NaN where there is
        none.
        """
        measure = self.measures.get((task, at))
        return float("nan") if measure is None else measure.compute()["loss"]

    def _costs(self) -> dict[str, float]:
        values: dict[str, float] = {}
        chosen: dict[str, list[float]] = {}
        for (name, at), cost in self.costs.items():
            if _PREFERENCE.fullmatch(at):
                chosen.setdefault(name, []).append(cost)
            else:
                values[f"width/{at}/{name}" if at else name] = cost
        return values | {f"preference/{name}": float(np.mean(each)) for name, each in chosen.items()}

    def preferred(self) -> tuple[Array, Array]:
        """Losses [preferences, N] under each preference, and the preferences [preferences, N]; of tasks that have a
        label in the rows.
        """
        full = np.array([self.loss(task.name) for task in self.tasks])
        r = simplex(len(self.tasks))
        known = ~np.isnan(full)
        losses = np.array([[self.loss(t.name, f"p{k}") for t in self.tasks] for k in range(len(r))])
        return np.where(np.isnan(losses), full, losses)[:, known], r[:, known]

    def _preferences(self) -> dict[str, float]:
        losses, r = self.preferred()
        if losses.shape[1] < 2:
            return {}
        chosen = [task for task in self.tasks if not np.isnan(self.loss(task.name))]
        weights = np.array([task.weight for task in chosen])
        each = [uniformity(weights * one, preference) for one, preference in zip(losses, r, strict=True)]
        values = {"uniformity": float(np.mean(each)), "preference_response": preference_response(losses, r)}
        constants = self.problem.constants[[self.tasks.index(task) for task in chosen]]
        if (constants > 0).all():
            values["hypervolume"] = dominated_share(losses / constants)
        return values

    def at_widths(self) -> dict[tuple[float, float], dict[str, float]]:
        """The main metric of each task by (encoder width, decoder width); of encoders with one width for all stages."""
        found: dict[tuple[float, float], dict[str, float]] = {}
        for (name, at), measure in self.measures.items():
            width = _WIDTH.fullmatch(at)
            if width is not None and "," not in width["e"]:
                value = measure.compute().get(self.by_name[name].metric, float("nan"))
                found.setdefault((float(width["e"]), float(width["d"])), {})[name] = value
        return found

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The budget curve of every task, the losses of every pair of tasks under the preferences, and the response to
        a preference: what the method's predictions allow.
        """
        from ..plots import multi_task as plots

        table = self.at_widths()
        if len(table) > 1:
            macs = {pair: self.costs.get(("macs", f"e{pair[0]:g}d{pair[1]:g}")) for pair in table}
            yield "budget.png", partial(plots.budget_curves, table, macs, self.tasks)
        losses, r = self.preferred()
        names = [task.name for task in self.tasks if not np.isnan(self.loss(task.name))]
        if any(_PREFERENCE.fullmatch(at) for _, at in self.measures) and losses.shape[1] > 1:
            yield "pareto.png", partial(plots.pareto_front, losses, names)
            yield "preferences.png", partial(plots.preference_response, losses, r, names)


PROBLEM = MultiTask
