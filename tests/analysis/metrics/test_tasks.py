"""Losses and measures of one task, against torch's losses and cases worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics.tasks import TaskMeasure, constant_loss, measure_of
from holdfast.datasets.core.multi_task import Task
from torch.nn import functional as F

SEG = Task("seg", "segmentation", 4)
EDGES, SALIENCY = Task("edges", "edges"), Task("saliency", "saliency")
NORMALS, DEPTH = Task("normals", "normals", 3), Task("depth", "depth")
KIND, INK = Task("kind", "classification", 5), Task("ink", "regression")


def _made(task: Task, n: int = 6, side: int = 5) -> tuple[Any, Any]:
    """Predictions and targets, one row in six and one pixel in five without a label."""
    g = np.random.default_rng(7)
    shape = (n, side, side) if task.is_map else (n,)
    prediction = g.normal(size=(n, task.outputs, *shape[1:]))
    if task.kind == "normals":
        target = np.moveaxis(g.normal(size=(*shape, 3)), -1, 1)
        target = target / np.linalg.norm(target, axis=1, keepdims=True)
        target[np.broadcast_to((g.random(shape) < 0.2)[:, None], target.shape)] = 255
        return prediction, target.astype(np.float32)
    if task.kind in ("depth", "regression"):
        target = g.uniform(0.5, 2, shape).astype(np.float32)
    else:
        classes = task.outputs if task.kind in ("segmentation", "classification") else 2
        target = g.integers(0, classes, shape).astype(np.uint8 if task.is_map else np.int64)
    target[g.random(shape) < 0.2] = np.nan if task.ignore is None else task.ignore
    target[-1] = np.nan if task.ignore is None else task.ignore
    return prediction, target


def _measured(task: Task, prediction: Any, target: Any, parts: int = 3) -> dict[str, float]:
    measure: TaskMeasure = measure_of(task)
    for p, y in zip(np.array_split(prediction, parts), np.array_split(target, parts), strict=True):
        measure.update(p, y)
    return measure.compute()


def test_cross_entropy_is_torchs() -> None:
    for task in (SEG, KIND):
        prediction, target = _made(task)
        values = _measured(task, prediction, target)
        expected = F.cross_entropy(
            torch.tensor(prediction), torch.tensor(target).long(), ignore_index=int(task.ignore or 0)
        )
        assert values["loss"] == pytest.approx(float(expected), rel=1e-12)
        labelled = target != task.ignore
        right = (prediction.argmax(1) == target)[labelled].mean()
        assert values["pixel_accuracy" if task.is_map else "accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("task", [EDGES, SALIENCY])
def test_balanced_cross_entropy_counts_over_the_whole_set(task: Task) -> None:
    prediction, target = _made(task)
    values = _measured(task, prediction, target)
    labelled = torch.tensor(target != 255)
    z, y = torch.tensor(prediction[:, 0])[labelled], torch.tensor(target).double()[labelled]
    weight = 0.95 if task.kind == "edges" else float((y == 0).double().mean())
    weights = y * weight + (1 - y) * (1 - weight)
    assert values["loss"] == pytest.approx(float(F.binary_cross_entropy_with_logits(z, y, weights)), rel=1e-12)
    assert ("max_miou" in values) == (task.kind == "saliency")


def test_saliency_leaves_out_images_without_labels() -> None:
    prediction, target = _made(SALIENCY)
    whole = _measured(SALIENCY, prediction, target)
    assert (target[-1] == 255).all()
    assert _measured(SALIENCY, prediction[:-1], target[:-1]) == pytest.approx(whole)
    right = np.where(target == 1, 9.0, -9.0)[:-1, None]
    assert _measured(SALIENCY, right, target[:-1])["max_miou"] == 1


def test_normals_are_brought_to_length_one() -> None:
    prediction, target = _made(NORMALS)
    values = _measured(NORMALS, prediction, target)
    labelled = torch.tensor(target != 255)
    unit = F.normalize(torch.tensor(prediction), dim=1)
    expected = (unit - torch.tensor(target)).abs()[labelled].mean()
    assert values["loss"] == pytest.approx(float(expected), rel=1e-6)
    assert _measured(NORMALS, 5 * prediction, target)["mean_angle"] == pytest.approx(values["mean_angle"])
    exact = _measured(NORMALS, 3.0 * target, target)
    assert exact["mean_angle"] == pytest.approx(0, abs=0.1)
    assert exact["pct_11_25"] == 100


def test_depth_and_numbers_have_absolute_errors() -> None:
    prediction, target = _made(DEPTH)
    values = _measured(DEPTH, prediction, target)
    labelled = target != 255
    assert values["loss"] == pytest.approx(np.abs(prediction[:, 0] - target)[labelled].mean())
    prediction, target = _made(INK)
    values = _measured(INK, prediction, target)
    assert values["loss"] == values["mae"] == pytest.approx(np.nanmean(np.abs(prediction[:, 0] - target)))


@pytest.mark.parametrize("task", [SEG, EDGES, SALIENCY, NORMALS, DEPTH, KIND, INK], ids=lambda task: task.kind)
def test_what_has_no_label_counts_nowhere(task: Task) -> None:
    prediction, target = _made(task)
    before = _measured(task, prediction, target)
    off = np.isnan(target) if task.ignore is None else target == task.ignore
    off = off if task.kind == "normals" else off[:, None]
    assert _measured(task, np.where(off, prediction + 3, prediction), target) == pytest.approx(before)
    target[:] = np.nan if task.ignore is None else task.ignore
    assert np.isnan(_measured(task, prediction, target)["loss"])
    assert np.isnan(constant_loss(task, target))


@pytest.mark.parametrize("task", [SEG, EDGES, SALIENCY, NORMALS, DEPTH, KIND, INK], ids=lambda task: task.kind)
def test_no_constant_is_better_than_the_best(task: Task) -> None:
    """What is said to be the least loss of a constant is reached, and not passed by any of many constants."""
    _, target = _made(task, n=40)
    least = constant_loss(task, target)
    g = np.random.default_rng(1)
    best: list[Any] = [g.normal(size=task.outputs) * 2 for _ in range(300)]
    if task.kind in ("segmentation", "classification"):
        counts = np.bincount(target[target != task.ignore].astype(int), minlength=task.outputs)
        best.append(np.log(counts / counts.sum()))
    elif task.kind != "normals":
        best += [np.array([v]) for v in np.linspace(-4, 4, 801)]
    losses = []
    for constant in best:
        shape = (len(target), task.outputs, *(target.shape[-2:] if task.is_map else ()))
        spread = np.broadcast_to(np.reshape(constant, (1, -1, *[1] * (len(shape) - 2))), shape)
        measure = measure_of(task, whole=False)
        measure.update(spread, target)
        losses.append(measure.compute()["loss"])
    if task.kind == "normals":  # the mean direction is near the best one, not the best
        assert min(losses) > least - 0.02
    else:
        assert min(losses) == pytest.approx(least, abs=2e-3)
        assert min(losses) > least - 1e-9


def test_predictions_of_another_shape_are_refused() -> None:
    for task in (SEG, EDGES, DEPTH, NORMALS, INK):
        prediction, target = _made(task)
        with pytest.raises(ValueError, match=rf"the task '{task.name}'.*do not fit targets"):
            measure_of(task).update(prediction[:, :, :-1] if task.is_map else prediction[:-1], target)
