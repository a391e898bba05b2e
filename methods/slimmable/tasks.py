"""The loss of each kind of task, and of in-place distillation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...datasets.core.multi_task import Task
from ...datasets.core.table import Batch
from ..losses import balanced_bce, depth_l1, logit_kd, normals_l1, output_l1, segmentation_ce
from ..losses.numerics import at_least_float32, zero

EDGES = 0.95  # weight of the pixels on edges


def task_loss(task: Task, output: Tensor, target: Tensor) -> Tensor:
    """Loss [] of one task, without its weight: cross-entropy (segmentation, classification), balanced BCE (saliency;
    edges with 0.95), L1 of unit normals, L1 (depth, regression). Rows and pixels without a label do not count; where
    none has one it is 0 with a graph.
    """
    if task.kind == "segmentation":
        return segmentation_ce(output, target)
    if task.kind == "normals":
        return normals_l1(output, target)
    if task.kind == "depth":
        return depth_l1(output, target[:, None])
    if task.is_map:
        return balanced_bce(output, target[:, None], EDGES if task.kind == "edges" else None)
    rows = task.labelled(target)
    if not bool(rows.any()):
        return zero(output)
    with torch.autocast(output.device.type, enabled=False):
        found = at_least_float32(output[rows])
        if task.kind == "classification":
            return F.cross_entropy(found, target[rows])
        return (found[:, 0] - target[rows]).abs().mean()


def task_losses(tasks: Sequence[Task], outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """:func:`task_loss` of every task by name."""
    return {task.name: task_loss(task, outputs[task.name], batch[task.column]) for task in tasks}


def distilled(tasks: Sequence[Task], outputs: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
    """Sum over tasks, by their weights, of the distance of outputs to those of the widest network: soft cross-entropy
    of classes, L1 of everything else.
    """
    each = [
        task.weight * (logit_kd if task.outputs > 1 and task.kind != "normals" else output_l1)(s, t)
        for task in tasks
        for s, t in [(outputs[task.name], teacher[task.name])]
    ]
    first, *others = each
    return sum(others, start=first)
