"""``suites tasks``: values are those of the runs' summaries, Δm is against the single-task run of the same seed, and
what is not there is named."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from holdfast.datasets.slimmable import scenes
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import compare, tables
from holdfast.suites.reports import tasks as reports
from holdfast.suites.runtime import facts


def _summary(miou: float, rmse: float, seg_loss: float) -> dict[str, float]:
    losses = {"task/seg/loss/last": seg_loss, "task/depth/loss/last": 0.1, "task/saliency/loss/last": 0.2}
    main = {"task/seg/miou/last": miou, "task/depth/rmse/last": rmse, "task/saliency/max_miou/last": 0.5}
    return {**losses, **main, "macs/last": 2e6, "weighted_loss/last": 1.0}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> compare.Task:
    """Two methods with two seeds each, as they are collected; only ``data.json`` lies on the disk."""
    facts.save(tmp_path, scenes.load(scenes.Config(n_train=4, n_valid=2, n_test=2), None))
    task = compare.Task("slimmable_scenes", "multi_task", {})
    values = {
        "single_task": {(0, 0): _summary(0.4, 0.1, 1.0), (1, 0): _summary(0.5, 0.2, 0.8)},
        "static_mtl": {(0, 0): _summary(0.44, 0.1, 1.2), (1, 0): _summary(0.5, 0.1, 0.7)},
    }
    for method, metrics in values.items():
        task.entrants.append(compare.Entrant(method, {}, metrics, dict.fromkeys(metrics, tmp_path)))
    monkeypatch.setattr(compare, "collect", lambda targets, out: ([task], ["other-s0 (failed)"]))
    return task


def test_methods_stand_beside_the_single_task_networks(runs: compare.Task) -> None:
    (document,) = api.tasks("somewhere")
    methods = {row["method"]: row for row in document["methods"]}
    assert methods["single_task"]["values"]["delta_m"] == {"mean": 0, "n": 2, "deviation": 0}
    assert methods["static_mtl"]["main"]["seg"]["mean"] == pytest.approx(0.47)
    assert methods["static_mtl"]["values"]["delta_m"]["mean"] == pytest.approx((10 / 3 + 50 / 3) / 2)
    assert document["reference"] == pytest.approx({"seg": 1.1 * 1.2, "depth": 0.11, "saliency": 0.22})
    assert document["not_finished"] == ["other-s0 (failed)"]
    json.dumps(document)
    ((title, header, rows),) = reports.tables([document])
    assert "single_task of the same seed" in title
    assert header[1:5] == ["seg\nmiou ↑", "depth\nrmse ↓", "saliency\nmax_miou ↑", "Δm % ↑"]
    assert rows[0][header.index("10⁶ MACs ↓")] == "2.000 ± 0.000"
    assert all(len(row) == len(header) for row in rows)


def test_what_is_not_there_is_named(runs: compare.Task, tmp_path: Path) -> None:
    with pytest.raises(
        Fault, match=r"no run of 'nobody' to compare with \(there are: single_task, static_mtl\)"
    ) as caught:
        api.tasks("somewhere", single="nobody")
    assert caught.value.exit_code == 2
    (tmp_path / facts.FILE).unlink()
    with pytest.raises(Fault, match="says nothing of its tasks") as caught:
        api.tasks("somewhere")
    assert caught.value.exit_code == 3
    runs.problem = "groups"
    with pytest.raises(Fault, match="no run of several tasks"):
        api.tasks("somewhere")


def test_the_table_of_a_run_has_every_task_but_not_twenty() -> None:
    recipe: Any = SimpleNamespace(
        problem="multi_task", evaluate=SimpleNamespace(sets={}), data=SimpleNamespace(experiences=1)
    )

    def shown(*names: str) -> list[str]:
        return tables.shown(recipe, {"runs": [{"metrics": dict.fromkeys(names, 0.0)}]})

    some = _summary(0, 0, 0)
    assert shown(*some, "width/e1d1/seg/miou/last") == [
        "weighted_loss/last",
        "task/seg/miou/last",
        "task/depth/rmse/last",
        "task/saliency/max_miou/last",
        "macs/last",
    ]
    assert shown(*(f"task/{k}/accuracy/last" for k in range(20))) == []
