"""Avalanche benchmarks over the rows of a :class:`~holdfast.datasets.core.source.Source`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from avalanche.benchmarks import CLScenario, EagerCLStream
from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from torch import Tensor
from torch.utils.data import Dataset

from .seeds import generator
from .source import Source
from .table import Batch, Table


class RowDataset(Dataset[Batch]):
    """Rows of a table as a torch data set: item i is the dict of row ``rows[i]`` (for Avalanche's plugins and the
    loader path).
    """

    def __init__(self, table: Table, rows: Tensor) -> None:
        self.table, self.rows = table, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Batch:
        return {name: value[0] for name, value in self.table.gather(self.rows[position : position + 1]).items()}


class RowExperience(DatasetExperience[Any]):
    """An experience: row ids ``rows`` [n] of the split's table, and the class ids ``classes``."""

    def __init__(self, table: Table, rows: Tensor, classes: Sequence[int], number: int) -> None:
        attributes = []
        labels = table.columns.get("label")
        if isinstance(labels, Tensor) and not labels.is_floating_point():
            attributes.append(DataAttribute(labels[rows].tolist(), "targets"))
        attributes.append(DataAttribute([0] * len(rows), "targets_task_labels", use_in_getitem=True))
        super().__init__(dataset=AvalancheDataset([RowDataset(table, rows)], data_attributes=attributes))
        self.current_experience = number
        self.table, self.rows, self.classes = table, rows, tuple(classes)
        self.classes_in_this_experience = list(classes)
        self.task_labels = [0]


def benchmark(
    tables: dict[str, Table], groups: Sequence[Sequence[int]], rows: Mapping[str, Sequence[Tensor]]
) -> CLScenario[Any]:
    """A scenario with one stream a table; experience k of split s has the rows ``rows[s][k]`` and the classes
    ``groups[k]``. ValueError where one has no test row: nothing could be measured after it.
    """
    empty = [k for k, mine in enumerate(rows.get("test", ())) if not len(mine)]
    if empty:
        raise ValueError(
            f"{len(empty)} of {len(groups)} experiences have no test row (the first is number {empty[0]}): "
            "lower data.experiences"
        )
    streams = [
        EagerCLStream(name, [RowExperience(table, rows[name][k], group, k) for k, group in enumerate(groups)])
        for name, table in tables.items()
    ]
    return CLScenario(streams)


Order = Literal["seeded", "alphabetical"] | Sequence[str]


def class_groups(class_names: Sequence[str], n_experiences: int, order: Order, seed: int) -> list[list[int]]:
    """Split classes into ``n_experiences`` disjoint groups; surplus classes go to the first ones.

    ``seeded``: a permutation from (seed, "class_order"); ``alphabetical``: by name; else the names themselves in
    their order. ValueError where there are none or fewer than experiences, and where the names are not those of the
    classes, each once.
    """
    n = len(class_names)
    if n == 0:
        raise ValueError("the label is a number and has no classes: data.split=range makes an experience of each range")
    if n < n_experiences:
        raise ValueError(f"{n} classes cannot make {n_experiences} experiences: lower data.experiences")
    if order == "alphabetical":
        ids = sorted(range(n), key=lambda i: class_names[i])
    elif order == "seeded":
        ids = torch.randperm(n, generator=generator(seed, "class_order")).tolist()
    else:
        class_id = {name: i for i, name in enumerate(class_names)}
        wrong = [f"no class '{name}'" for name in order if name not in class_id]
        wrong += [f"'{name}' is left out" for name in class_names if name not in order]
        if wrong or len(order) != n:
            raise ValueError(
                f"data.class_order must name every class once: {'; '.join(wrong[:5]) or 'some are named twice'}"
            )
        ids = [class_id[name] for name in order]
    size, surplus = divmod(n, n_experiences)
    groups, start = [], 0
    for k in range(n_experiences):
        stop = start + size + (k < surplus)
        groups.append(sorted(ids[start:stop]))
        start = stop
    return groups


def class_incremental(
    source: Source,
    n_experiences: int,
    order: Order = "seeded",
    seed: int = 0,
    field: str = "label",
    hidden: frozenset[str] = frozenset(),
) -> CLScenario[Any]:
    """Class-incremental streams ``train``, ``valid``, ``test`` by the integer column ``field``; columns ``hidden`` are
    left out of train.
    """
    groups = class_groups(source.class_names, n_experiences, order, seed)
    parts = {
        name: [torch.isin(_dense(table, field), torch.tensor(group)).nonzero().flatten() for group in groups]
        for name, table in source.splits.items()
    }
    return benchmark(_visible(source, hidden), groups, parts)


def range_incremental(
    source: Source,
    n_experiences: int,
    order: Order = "seeded",
    seed: int = 0,
    field: str = "label",
    hidden: frozenset[str] = frozenset(),
) -> CLScenario[Any]:
    """Streams by ranges of the column ``field`` that hold equal numbers of training rows; ``alphabetical`` is
    ascending.

    Raises ValueError where some range would hold no training row.
    """
    train = _dense(source.splits["train"], field).double()
    edges = torch.quantile(train, torch.linspace(0, 1, n_experiences + 1, dtype=torch.float64)[1:-1])
    ids = list(range(n_experiences))
    if order == "seeded":
        ids = torch.randperm(n_experiences, generator=generator(seed, "class_order")).tolist()
    parts = {}
    for name, table in source.splits.items():
        group = torch.bucketize(_dense(table, field).double(), edges)
        parts[name] = [(group == k).nonzero().flatten() for k in ids]
    if not all(len(rows) for rows in parts["train"]):
        raise ValueError(f"the values of '{field}' cannot be cut into {n_experiences} ranges: lower data.experiences")
    return benchmark(_visible(source, hidden), [()] * n_experiences, parts)


def given(source: Source, n_experiences: int, hidden: frozenset[str] = frozenset()) -> CLScenario[Any]:
    """Streams by the data set's own column ``experience`` (0 to n_experiences - 1). Raises ValueError where it says
    otherwise.
    """
    if any("experience" not in table.columns for table in source.splits.values()):
        raise ValueError("this data set has no column 'experience': set data.split to classes or range")
    experiences = set(_dense(source.splits["train"], "experience").tolist())
    if experiences != set(range(n_experiences)):
        raise ValueError(
            f"the data set's experiences are {sorted(experiences)}, not 0 to {n_experiences - 1}: see data.experiences"
        )
    parts = {
        name: [(_dense(table, "experience") == k).nonzero().flatten() for k in range(n_experiences)]
        for name, table in source.splits.items()
    }
    groups = [_classes(source, parts["train"][k]) for k in range(n_experiences)]
    return benchmark(_visible(source, hidden), groups, parts)


def single(source: Source, hidden: frozenset[str] = frozenset()) -> CLScenario[Any]:
    """One experience with all rows."""
    parts = {name: [torch.arange(len(table))] for name, table in source.splits.items()}
    return benchmark(_visible(source, hidden), [_classes(source, parts["train"][0])], parts)


def _classes(source: Source, rows: Tensor) -> list[int]:
    """The classes among training ``rows``; none where ``label`` is no class."""
    labels = source.splits["train"].columns.get("label")
    if not isinstance(labels, Tensor) or labels.is_floating_point():
        return []
    return sorted(set(labels[rows].tolist()))


def _dense(table: Table, field: str) -> Tensor:
    column = table.columns[field]
    if not isinstance(column, Tensor):
        raise ValueError(f"column '{field}' is ragged or lazy and cannot split a stream")
    return column


def _visible(source: Source, hidden: frozenset[str]) -> dict[str, Table]:
    return {name: table.without(hidden) if name == "train" else table for name, table in source.splits.items()}


def union(scenario: CLScenario[Any]) -> CLScenario[Any]:
    """One experience with the union of all, for an offline upper bound; the evaluation streams stay as they are."""
    train = scenario.streams["train"]
    table = train[0].table
    rows = torch.cat([experience.rows for experience in train]).sort().values
    classes = sorted(c for experience in train for c in experience.classes)
    streams = [EagerCLStream("train", [RowExperience(table, rows, classes, 0)])]
    streams += [EagerCLStream(name, list(s)) for name, s in scenario.streams.items() if name != "train"]
    return CLScenario(streams)
