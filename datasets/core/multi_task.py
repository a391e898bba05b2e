"""Facts of data with several tasks: which there are, and how their targets are stored.

A target lies in the column ``target_NAME``. Maps have the size of the column ``image`` [N, 3, H, W], bytes:

| kind | column | no label |
|---|---|---|
| segmentation | [N, H, W] uint8, number of the class | 255 |
| edges, saliency | [N, H, W] uint8, 0 or 1 | 255 |
| depth | [N, H, W] float32, above 0 | 255 |
| normals | [N, 3, H, W] float32, unit vectors: x right, y down, z towards the viewer | 255 in all three |
| classification | [N] int64, number of the class | -1 |
| regression | [N] float32 | NaN |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .errors import DataError, refuse
from .inputs import Inputs
from .source import DataInfo, Source

if TYPE_CHECKING:
    from torch import Tensor

    from .table import Table

Kind = Literal["segmentation", "depth", "normals", "edges", "saliency", "classification", "regression"]
MAPS = ("segmentation", "depth", "normals", "edges", "saliency")  # kinds with a target a pixel
CHANNELS = {"depth": 1, "normals": 3, "edges": 1, "saliency": 1, "regression": 1}  # outputs of the other kinds: classes
MAIN = {  # of each kind: its main metric, and whether higher is better
    "segmentation": ("miou", True),
    "depth": ("rmse", False),
    "normals": ("mean_angle", False),
    "edges": ("loss", False),
    "saliency": ("max_miou", True),
    "classification": ("accuracy", True),
    "regression": ("mae", False),
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of bytes / 255
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_CHUNK = 64  # rows that are looked at together: the columns may be larger than the memory
_UNIT = 0.02  # how far a normal's length may be from 1


@dataclass(frozen=True)
class Task:
    """One task.

    ``outputs``: channels of its prediction: classes, 3 for normals, else 1. ``weight``: ω, by which its loss is
    multiplied. ``classes``: their names, or none. ``ignore``: the value of a pixel or row without a label; None: NaN.
    """

    name: str
    kind: Kind
    outputs: int = 1
    weight: float = 1.0
    classes: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """The column of its targets."""
        return f"target_{self.name}"

    @property
    def ignore(self) -> int | None:
        return {"classification": -1, "regression": None}.get(self.kind, 255)

    @property
    def is_map(self) -> bool:
        """Whether every pixel has a target."""
        return self.kind in MAPS

    @property
    def metric(self) -> str:
        """Name of its main metric."""
        return MAIN[self.kind][0]

    @property
    def higher_is_better(self) -> bool:
        """The direction of its main metric."""
        return MAIN[self.kind][1]

    def labelled(self, target: Tensor) -> Tensor:
        """Which elements of ``target`` have a label: booleans of its shape."""
        return ~target.isnan() if self.ignore is None else target != self.ignore


@dataclass(frozen=True, kw_only=True)
class MultiTaskInfo(DataInfo):
    """Rows with several targets each; inputs in the column ``image`` [N, C, H, W], bytes, or ``x`` [N, D], float32.

    ``input_shape``: of a row, (C, H, W) or (D,). ``mean`` and ``std`` [C]: by which a network normalises bytes / 255.
    Read by the networks of multi-task learning and the problem ``multi_task``.
    """

    tasks: tuple[Task, ...]
    input_shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def column(self) -> str:
        """The column of the inputs."""
        return "image" if len(self.input_shape) == 3 else "x"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    def task(self, name: str) -> Task:
        """The task of this name. Raises DataError, with the names there are, where there is none."""
        return next(iter(chosen(self.tasks, (name,))))


def chosen(tasks: Sequence[Task], names: Sequence[str] | None) -> tuple[Task, ...]:
    """The tasks called ``names``, in that order; None: all. Raises DataError for unknown or repeated names, or none."""
    if names is None:
        return tuple(tasks)
    known = {task.name: task for task in tasks}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"no task called {', '.join(map(repr, unknown))} (there are: {', '.join(known)})")
    if not names or len(set(names)) < len(names):
        raise DataError("data.options.tasks: name one task or more, each once")
    return tuple(known[name] for name in names)


def multi_task_source(
    splits: Mapping[str, Table],
    tasks: Sequence[Task],
    source: str,
    *,
    normalise: tuple[tuple[float, ...], tuple[float, ...]] = ((), ()),
    inputs: Inputs | None = None,
    random_split: bool = False,
) -> Source[MultiTaskInfo]:
    """A Source whose tables hold ``image`` or ``x`` and the columns of ``tasks``; its checksum is that of all columns.

    Raises DataError where a split lacks rows, a column is not what the task's kind says, a map has another size than
    its image, or a task has no label at all in the training or test rows.
    """
    names = [task.name for task in tasks]
    faults = [
        f"a task cannot be called {name!a}: letters, digits, '_', '-'" for name in names if not _NAME.fullmatch(name)
    ]
    faults += [f"two tasks are called '{name}'" for name in sorted(set(names)) if names.count(name) > 1]
    faults += [f"the task '{t.name}': {fault}" for t in tasks for fault in _declared(t)]
    refuse("tasks", faults or ([] if tasks else ["there is none"]))
    refuse("rows", [f"the split '{name}' has none" for name in ("train", "test") if not len(splits[name])])
    column = "image" if "image" in splits["train"].columns else "x"
    shape = tuple(_dense(splits["train"], column).shape[1:])
    for task in tasks:
        faults += [fault for name, table in splits.items() for fault in _column(task, name, table, shape)]
    refuse("targets", faults)
    info = MultiTaskInfo(tasks=tuple(tasks), input_shape=shape, mean=normalise[0], std=normalise[1], inputs=inputs)
    return Source(dict(splits), [], info, source, _checksum(splits), random_split=random_split)


def _declared(task: Task) -> list[str]:
    """What is wrong with a task's own facts."""
    faults = []
    if task.kind not in MAIN:
        return [f"the kind '{task.kind}' is none of {', '.join(MAIN)}"]
    least, most = (CHANNELS[task.kind],) * 2 if task.kind in CHANNELS else (2, 255 if task.is_map else 100_000)
    if not least <= task.outputs <= most:
        faults.append(f"{task.outputs} outputs, and {task.kind} has {least if least == most else f'{least} to {most}'}")
    if task.classes and len(task.classes) != task.outputs:
        faults.append(f"{len(task.classes)} names for {task.outputs} outputs")
    if not 0 < task.weight < float("inf"):
        faults.append(f"the weight {task.weight} is not above 0")
    return faults


def _dense(table: Table, name: str) -> Tensor:
    import torch

    column = table.columns.get(name)
    if not isinstance(column, torch.Tensor):
        raise DataError(f"the column '{name}' is {'missing' if column is None else 'of unequal lengths'}")
    return column


def _column(task: Task, split: str, table: Table, shape: tuple[int, ...]) -> Iterator[str]:
    """What is wrong with a task's targets in one split."""
    where = f"the task '{task.name}', split '{split}'"
    if task.column not in table.columns:
        yield f"{where}: no column '{task.column}'"
        return
    values = _dense(table, task.column)
    if not task.is_map:
        wanted: tuple[int, ...] = ()
    elif len(shape) != 3:
        yield f"{where}: a map needs images, and there are none"
        return
    else:
        wanted = (3, *shape[1:]) if task.kind == "normals" else shape[1:]
    if tuple(values.shape[1:]) != wanted:
        yield f"{where}: targets of {_by(values.shape[1:])}, and its images ask for {_by(wanted)}"
        return
    floating = task.kind in ("depth", "normals", "regression")
    if values.is_floating_point() != floating:
        yield f"{where}: targets of type {str(values.dtype).removeprefix('torch.')}"
        return
    some = False
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK]
        labelled = task.labelled(part)
        some |= bool(labelled.any())
        wrong = _wrong(task, part, labelled)
        if wrong:
            yield f"{where}, row {start + wrong[1]}: {wrong[0]}"
            return
    if not some and split in ("train", "test"):
        yield f"{where}: no {'pixel' if task.is_map else 'row'} has a label: leave the task out with data.options.tasks"


def _wrong(task: Task, values: Tensor, labelled: Tensor) -> tuple[str, int] | None:
    """What no target of this kind can be, and the first row with it."""
    top = task.outputs if task.kind in ("segmentation", "classification") else 2
    if task.kind == "normals":
        length = values.square().sum(1).sqrt()
        bad, what = labelled.any(1) & ~((length - 1).abs() <= _UNIT), "normals that are not of length 1"
    elif task.kind == "depth":
        bad, what = labelled & ~(values.isfinite() & (values > 0)), "depths that are not above 0"
    elif task.kind == "regression":
        bad, what = labelled & ~values.isfinite(), "infinite values"
    else:
        bad, what = labelled & ((values < 0) | (values >= top)), f"values outside 0 to {top - 1}"
    rows = bad.flatten(1).any(1) if bad.dim() > 1 else bad
    return (what, int(rows.nonzero()[0])) if bool(rows.any()) else None


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _checksum(splits: Mapping[str, Table]) -> str:
    digest = hashlib.sha256()
    for name in sorted(splits):
        for column in sorted(splits[name].columns):
            value = _dense(splits[name], column)
            digest.update(f"{name}/{column}/{tuple(value.shape)}/{value.dtype}".encode())
            for start in range(0, len(value), _CHUNK):
                digest.update(value[start : start + _CHUNK].contiguous().numpy().tobytes())
    return digest.hexdigest()
