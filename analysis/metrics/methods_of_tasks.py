"""Several methods of multi-task learning beside each other, from the numbers that their runs wrote.

What one run cannot know: the change against single-task networks (Δ_m), and a hypervolume whose reference is that of
all compared methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...datasets.core.multi_task import Task
from ...datasets.core.preferences import simplex
from .multi_task import Array, delta_m, hypervolume, preference_response, reference_point, uniformity

EXACT = 8  # tasks up to which the hypervolume is exact
POINTS = 100_000  # of the Monte Carlo estimate beyond that
LAST = "last"


@dataclass(frozen=True)
class TaskRun:
    """One run: the ``method``, the ``seed`` that its values are paired by, and its summary by name
    (``task/seg/miou/last``).
    """

    method: str
    seed: object
    summary: Mapping[str, float]

    def main(self, tasks: Sequence[Task]) -> dict[str, float]:
        """The main metric of every task that the run has one of."""
        names = {task.name: f"task/{task.name}/{task.metric}/{LAST}" for task in tasks}
        return {task: float(self.summary[name]) for task, name in names.items() if name in self.summary}

    def losses(self, tasks: Sequence[Task]) -> Array | None:
        """Losses [preferences, N] under each preference; of a method that cannot be told one those at full width, in
        all rows alike. None where a task has no loss.
        """
        full = [self.summary.get(f"task/{task.name}/loss/{LAST}") for task in tasks]
        if None in full:
            return None
        known = dict(zip((task.name for task in tasks), full, strict=True))
        rows = [
            [self.summary.get(f"preference/p{k}/{name}/loss/{LAST}", loss) for name, loss in known.items()]
            for k in range(len(simplex(len(tasks))))
        ]
        return np.array(rows, np.float64)


@dataclass
class Compared:
    """What the comparison says of one run: ``main`` metrics by task, and ``values`` (``delta_m`` in per cent,
    ``hypervolume``, ``uniformity``, ``preference_response``, ``macs``, ``preference_macs``, ``parameters``), without
    those that cannot be had.
    """

    run: TaskRun
    main: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)


def compared(runs: Sequence[TaskRun], tasks: Sequence[Task], single: str) -> tuple[list[Compared], Array | None]:
    """All ``runs`` of one data set with ``tasks``, and the reference of their hypervolumes, [N] (None: no run has all
    losses).

    Δ_m is taken against the run of the method ``single`` with the same seed, and is left out where there is none. The
    hypervolume has the reference 1.1 × the largest loss of each task over all runs, and is given as a share of the box
    up to it; values of two comparisons must not be compared. Uniformity is that of ω_i L_i.
    """
    losses = [run.losses(tasks) for run in runs]
    known = [each for each in losses if each is not None]
    reference = reference_point(known) if known else None
    baseline = {run.seed: run.main(tasks) for run in runs if run.method == single}
    higher = {task.name: task.higher_is_better for task in tasks}
    preferences, weights = simplex(len(tasks)), np.array([task.weight for task in tasks])
    found = []
    for run, loss in zip(runs, losses, strict=True):
        one = Compared(run, run.main(tasks))
        base = baseline.get(run.seed)
        if base and one.main.keys() == base.keys() and all(base.values()):
            one.values["delta_m"] = 100 * delta_m(one.main, base, {name: higher[name] for name in base})
        if loss is not None and reference is not None and (reference > 0).all() and len(tasks) > 1:
            one.values["hypervolume"] = dominated_share(loss / reference)
            each = [uniformity(weights * row, r) for row, r in zip(loss, preferences, strict=True)]
            one.values["uniformity"] = float(np.mean(each))
            one.values["preference_response"] = preference_response(loss, preferences)
        costs = {"macs": "macs", "preference_macs": "preference/macs", "parameters": "parameters"}
        for name, key in costs.items():
            if f"{key}/{LAST}" in run.summary:
                one.values[name] = float(run.summary[f"{key}/{LAST}"])
        found.append(one)
    return found, reference


def dominated_share(losses: Array, seed: int = 0) -> float:
    """Share of the unit box that ``losses`` [n, N] dominate, smaller being better: the hypervolume with the reference
    1. Of more than :data:`EXACT` tasks a Monte Carlo estimate with :data:`POINTS` points, whose error is at most 0.002.
    """
    if losses.shape[1] <= EXACT:
        return hypervolume(losses, np.ones(losses.shape[1]))
    points = np.random.default_rng(seed).random((POINTS, losses.shape[1]))
    covered = np.zeros(POINTS, bool)
    for one in losses:
        covered |= (points >= one).all(1)
    return float(covered.mean())
