"""Several tasks: measures by name, at widths and under preferences, and what is missing or does not fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics.methods_of_tasks import dominated_share
from holdfast.analysis.metrics.multi_task import uniformity
from holdfast.analysis.problems.evaluator import Measurement, MissingColumnError
from holdfast.analysis.problems.multi_task import MultiTask
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.multi_task import MultiTaskInfo, Task
from holdfast.datasets.core.preferences import EVALUATED, simplex
from holdfast.datasets.core.source import ClassInfo
from holdfast.datasets.core.table import Table
from holdfast.suites.config import measures

TASKS = (Task("seg", "segmentation", 3, 1.0), Task("depth", "depth", 1, 4.0), Task("salient", "saliency", 1, 2.0))
N, SIDE = 12, 8


def _table(seed: int) -> Table:
    g = torch.Generator().manual_seed(seed)
    columns = {
        "image": torch.zeros(N, 3, SIDE, SIDE, dtype=torch.uint8),
        "target_seg": torch.randint(0, 3, (N, SIDE, SIDE), generator=g, dtype=torch.uint8),
        "target_depth": torch.rand(N, SIDE, SIDE, generator=g) + 0.5,
        "target_salient": torch.randint(0, 2, (N, SIDE, SIDE), generator=g, dtype=torch.uint8),
    }
    return Table(columns)


@pytest.fixture
def data() -> Any:
    splits = {"train": _table(0), "valid": _table(1), "test": _table(2)}
    return SimpleNamespace(splits=splits, info=MultiTaskInfo(tasks=TASKS, input_shape=(3, SIDE, SIDE)))


def _predictions(data: Any, sharp: float = 2.0, split: str = "test") -> dict[str, Any]:
    """The truth of every task; the larger ``sharp``, the surer."""
    columns = {name: column.numpy() for name, column in data.splits[split].columns.items()}
    one_hot = np.moveaxis(np.eye(3)[columns["target_seg"]], -1, 1)
    return {
        "task/seg": sharp * one_hot,
        "task/depth": columns["target_depth"][:, None] + 0.2 / sharp,
        "task/salient": sharp * (2.0 * columns["target_salient"][:, None] - 1),
    }


def _preferred(data: Any, strength: float = 4.0) -> dict[str, Any]:
    """Outputs under every preference: the more it is preferred, the surer a task."""
    outputs = _predictions(data)
    for k, r in enumerate(simplex(3)):
        for task, share in zip(TASKS, r, strict=True):
            outputs[f"task/{task.name}@p{k}"] = _predictions(data, 0.5 + strength * share)[f"task/{task.name}"]
    return outputs


def _measured(data: Any, outputs: dict[str, Any], split: str = "test", parts: int = 3) -> Measurement:
    measurement = MultiTask(data).measurement(split)
    for rows in np.array_split(np.arange(N), parts):
        measurement.update({name: value[rows] for name, value in outputs.items()}, rows)
    return measurement


def test_every_task_has_its_measures_and_all_are_declared(data: Any) -> None:
    outputs = _preferred(data)
    for e in (0.25, 1.0):
        for d in (0.25, 1.0):
            own = _predictions(data, 1 + e + d)
            outputs |= {f"{name}@e{e:g}d{d:g}": value for name, value in own.items()}
            outputs[f"macs@e{e:g}d{d:g}"] = np.full(N, 1000 * (e + d))
    outputs |= {"macs": np.full(N, 2000.0), "parameters": np.full(N, 500), "macs@p0": np.full(N, 900.0)}
    outputs["macs@p1"] = np.full(N, 1100.0)
    values = _measured(data, outputs).compute()
    assert values["task/seg/miou"] == values["task/salient/max_miou"] == 1
    assert values["task/depth/rmse"] == pytest.approx(0.1, rel=1e-6)
    assert values["weighted_loss"] == pytest.approx(
        values["task/seg/loss"] + 4 * values["task/depth/loss"] + 2 * values["task/salient/loss"]
    )
    assert values["width/e0.25d1/depth/rmse"] == pytest.approx(0.2 / 2.25, rel=1e-6)
    assert values["width/e0.25d1/seg/loss"] < values["width/e0.25d0.25/seg/loss"]
    assert "width/e0.25d1/seg/pixel_accuracy" not in values
    assert (values["macs"], values["parameters"], values["preference/macs"]) == (2000, 500, 1000)
    assert values["width/e0.25d1/macs"] == 1250
    assert f"preference/p{EVALUATED - 1}/seg/loss" in values
    declared = measures.metrics("multi_task")
    for name in values:
        assert f"{name}/last" in declared, name
    assert declared["task/seg/miou/last"].higher_is_better
    assert declared["width/e0.25d1/depth/rmse/last"].higher_is_better is False


def test_batches_do_not_matter(data: Any) -> None:
    outputs = _preferred(data)
    one = _measured(data, outputs, parts=1).compute()
    assert _measured(data, outputs, parts=5).compute() == pytest.approx(one)


def test_a_method_that_heeds_preferences_dominates_more_and_is_more_uniform(data: Any) -> None:
    heeds = _measured(data, _preferred(data)).compute()
    deaf = _measured(data, _predictions(data, 1.5)).compute()
    assert heeds["preference_response"] == pytest.approx(1)
    assert deaf["preference_response"] == 0
    assert 0 < deaf["hypervolume"] < heeds["hypervolume"] < 1
    assert deaf["uniformity"] < heeds["uniformity"] <= 1
    losses = np.array([deaf[f"task/{task.name}/loss"] * task.weight for task in TASKS])
    assert deaf["uniformity"] == pytest.approx(np.mean([uniformity(losses, r) for r in simplex(3)]))


def test_the_box_of_the_hypervolume_ends_at_constant_predictions(data: Any) -> None:
    """A method no better than constants dominates nothing; one twice as good in all three tasks an eighth."""
    problem = MultiTask(data)
    constants = problem.constants
    assert constants[0] == pytest.approx(np.log(3), abs=0.01)
    assert dominated_share(np.array([[1.0, 1.0, 1.0]])) == 0
    assert dominated_share(np.array([[0.5, 0.5, 0.5], [0.6, 0.7, 0.5]])) == pytest.approx(0.125)
    many = np.full((3, 10), 0.25)
    assert dominated_share(many) == pytest.approx(0.75**10, abs=0.002)
    assert "hypervolume" in _measured(data, _predictions(data)).compute()


def test_validation_rows_are_measured_at_full_width_alone(data: Any) -> None:
    outputs = {**_predictions(data, split="valid"), "task/seg@p0": np.zeros((N, 3, SIDE, SIDE))}
    values = _measured(data, outputs, "valid").compute()
    assert values["task/seg/miou"] == 1
    assert not [name for name in values if name.startswith(("preference", "hypervolume", "uniformity"))]


def test_a_task_without_a_label_is_left_out(data: Any) -> None:
    data.splits["test"].columns["target_depth"][:] = 255
    values = _measured(data, _preferred(data)).compute()
    assert not [name for name in values if "depth" in name]
    assert values["weighted_loss"] == pytest.approx(values["task/seg/loss"] + 2 * values["task/salient/loss"])
    assert 0 < values["hypervolume"] < 1


def test_one_task_has_no_preferences(data: Any) -> None:
    data.info = MultiTaskInfo(tasks=TASKS[:1], input_shape=(3, SIDE, SIDE))
    values = _measured(data, {"task/seg": _predictions(data)["task/seg"]}).compute()
    assert set(values) == {"weighted_loss", "task/seg/loss", "task/seg/miou", "task/seg/pixel_accuracy"}


def test_unknown_tasks_and_wrong_shapes_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="predicts 'task/parts', and the tasks are seg, depth, salient"):
        _measured(data, {"task/parts": np.zeros((N, 1))})
    with pytest.raises(ValueError, match=r"the task 'seg' .*do not fit targets"):
        _measured(data, {"task/seg": np.zeros((N, 3, 4, 4))})


def test_other_data_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match="MultiTaskInfo"):
        MultiTask(SimpleNamespace(splits=data.splits, info=ClassInfo(classes=2)))
    data.splits["test"] = data.splits["test"].without(frozenset({"target_depth"}))
    with pytest.raises(MissingColumnError, match="'test' has no column target_depth"):
        MultiTask(data)


def test_pictures_are_those_that_the_predictions_allow(data: Any, tmp_path: Path) -> None:
    assert not list(_measured(data, _predictions(data)).pictures())
    outputs = _preferred(data)
    for e in (0.5, 1.0):
        for name, value in _predictions(data, 1 + e).items():
            outputs[f"{name}@e{e:g}d1"] = value
        outputs[f"macs@e{e:g}d1"] = np.full(N, 1000 * e)
    measurement = _measured(data, outputs)
    for name, draw in measurement.pictures():
        draw(tmp_path / name)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["budget.png", "pareto.png", "preferences.png"]


SEQUENCE: list[dict[str, float]] = [
    {"task/seg/miou": 0.8, "task/seg/loss": 1.0, "width/e0.5d1/seg/miou": 0.6, "width/e1d1/seg/miou": 0.8},
    {
        "task/seg/miou": 0.9,
        "width/e0.5d1/seg/miou": 0.3,
        "width/e0.5d1/macs": 5.0,
        "task/depth/rmse": 0.5,
        "width/e0.5d1/depth/rmse": 0.4,
    },
    {
        "task/seg/miou": 0.6,
        "width/e0.5d1/seg/miou": 0.45,
        "task/depth/rmse": 1.0,
        "width/e0.5d1/depth/rmse": 0.3,
        "width/e0.5d1/depth/loss": 0.1,
        "task/salient/max_miou": 0.5,
        "preference/p0/seg/loss": 0.1,
        "weighted_loss": 1.0,
    },
]


def test_what_of_each_task_is_forgotten_at_each_width(data: Any) -> None:
    problem = MultiTask(data)
    assert problem.over_experiences(SEQUENCE[:1]) == {}
    values = problem.over_experiences(SEQUENCE)
    assert values == pytest.approx(
        {
            "task/seg/forgetting": 0.3,  # of the best, which was in the middle
            "task/depth/forgetting": 0.5,
            "forgetting": (0.3 / 0.9 + 0.5 / 0.5) / 2,
            "width/e0.5d1/seg/forgetting": 0.15,
            "width/e0.5d1/depth/forgetting": -0.1,  # it became better
            "width/e0.5d1/forgetting": (0.15 / 0.6 - 0.1 / 0.4) / 2,
        }
    )
    known = measures.metrics("multi_task")
    assert all(known[f"{name}/last"].higher_is_better is False for name in values)


def test_pictures_of_a_sequence_of_tasks(data: Any, tmp_path: Path) -> None:
    problem = MultiTask(data)
    assert not list(problem.course(SEQUENCE[:1]))
    assert [name for name, _ in problem.course(SEQUENCE)] == ["tasks.png", "forgetting.png"]
    single = [{name: value for name, value in row.items() if name.startswith("task/")} for row in SEQUENCE]
    assert [name for name, _ in problem.course(single)] == ["tasks.png"]  # of a network of one width
    for name, draw in problem.course(SEQUENCE):
        draw(tmp_path / name)
    assert {path.name for path in tmp_path.glob("*.png")} == {"tasks.png", "forgetting.png"}
