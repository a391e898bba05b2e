"""Methods of several tasks beside each other: change against single tasks, one reference for all, what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from holdfast.analysis.metrics.methods_of_tasks import Compared, TaskRun, compared, dominated_share
from holdfast.datasets.core.multi_task import Task
from holdfast.datasets.core.preferences import simplex

TASKS = (Task("seg", "segmentation", 4, 1.0), Task("depth", "depth", 1, 4.0))
R = simplex(2)


def _run(method: str, seed: int, miou: float, rmse: float, **losses: float) -> TaskRun:
    full = {"seg": 0.5, "depth": 0.2} | losses
    summary = {"task/seg/miou/last": miou, "task/depth/rmse/last": rmse, "macs/last": 100.0}
    return TaskRun(method, seed, summary | {f"task/{name}/loss/last": loss for name, loss in full.items()})


def _heeding(seed: int) -> TaskRun:
    run = _run("ecmt", seed, 0.44, 0.1)
    own = {
        f"preference/p{k}/{task.name}/loss/last": 0.6 - 0.5 * float(share)
        for k, r in enumerate(R)
        for task, share in zip(TASKS, r, strict=True)
    }
    return TaskRun("ecmt", seed, {**run.summary, **own, "preference/macs/last": 40.0})


def _by(rows: list[Compared], method: str, seed: int = 0) -> dict[str, float]:
    return next(row.values for row in rows if (row.run.method, row.run.seed) == (method, seed))


def test_the_change_is_against_the_same_seed() -> None:
    runs = [_run("single_task", 0, 0.4, 0.1), _run("single_task", 1, 0.5, 0.2), _run("static_mtl", 0, 0.44, 0.11)]
    runs += [_run("static_mtl", 1, 0.5, 0.1), _run("static_mtl", 2, 0.5, 0.1)]
    rows, _ = compared(runs, TASKS, "single_task")
    assert _by(rows, "single_task")["delta_m"] == 0
    assert _by(rows, "static_mtl", 0)["delta_m"] == pytest.approx(0)  # 10 % up, 10 % worse
    assert _by(rows, "static_mtl", 1)["delta_m"] == pytest.approx(25)
    assert "delta_m" not in _by(rows, "static_mtl", 2)  # no single-task run of this seed
    assert rows[2].main == {"seg": 0.44, "depth": 0.11}


def test_all_runs_share_one_reference() -> None:
    runs = [_run("single_task", 0, 0.4, 0.1), _heeding(0)]
    rows, reference = compared(runs, TASKS, "single_task")
    assert reference is not None
    largest = 0.6 - 0.5 * R.min(0)
    assert reference == pytest.approx(1.1 * largest)
    alone = _by(rows, "single_task")
    expected = (1 - 0.5 / reference[0]) * (1 - 0.2 / reference[1])
    assert alone["hypervolume"] == pytest.approx(expected)
    assert alone["preference_response"] == 0
    heeding = _by(rows, "ecmt")
    assert heeding["preference_response"] == pytest.approx(1)
    assert heeding["hypervolume"] > alone["hypervolume"]
    assert (heeding["macs"], heeding["preference_macs"]) == (100, 40)
    moved, other = compared([*runs, _run("bad", 0, 0.1, 0.9, seg=9.0, depth=9.0)], TASKS, "single_task")
    assert other == pytest.approx([9.9, 9.9])
    assert _by(moved, "ecmt")["hypervolume"] > heeding["hypervolume"]


def test_what_a_run_lacks_is_left_out() -> None:
    short = TaskRun("short", 0, {"task/seg/miou/last": 0.4})
    rows, reference = compared([short], TASKS, "single_task")
    assert reference is None
    assert (rows[0].main, rows[0].values) == ({"seg": 0.4}, {})
    rows, _ = compared([short, _run("single_task", 0, 0.4, 0.1)], TASKS, "single_task")
    assert _by(rows, "short") == {}  # one task of two: no change can be said
    assert "hypervolume" in _by(rows, "single_task")


def test_the_estimate_for_many_tasks_agrees_with_the_exact_volume() -> None:
    points = np.random.default_rng(0).uniform(0.2, 0.9, (20, 9))
    many = dominated_share(points)
    assert many == dominated_share(points)  # seeded
    one = np.full((1, 9), 0.1)
    assert dominated_share(one) == pytest.approx(0.9**9, abs=0.002)
    eight = np.random.default_rng(0).uniform(0.1, 0.6, (20, 8))
    assert dominated_share(np.column_stack([eight, np.zeros(20)])) == pytest.approx(dominated_share(eight), abs=0.005)
