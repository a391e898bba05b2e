"""Avalanche benchmarks over the rows of a :class:`~holdfast.datasets.batches.Source`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from avalanche.benchmarks import CLScenario, EagerCLStream
from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from torch import Tensor
from torch.utils.data import Dataset

from .batches import Batch, Ragged, Source, Table, generator


class RowDataset(Dataset[Batch]):
    """Rows of a table as a torch data set: item i is the dict of row ``rows[i]`` (for Avalanche's plugins and the loader path)."""

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
        if labels is not None and not isinstance(labels, Ragged) and not labels.is_floating_point():
            attributes.append(DataAttribute(labels[rows].tolist(), "targets"))
        attributes.append(DataAttribute([0] * len(rows), "targets_task_labels", use_in_getitem=True))
        super().__init__(dataset=AvalancheDataset([RowDataset(table, rows)], data_attributes=attributes))
        self.current_experience = number
        self.table, self.rows, self.classes = table, rows, tuple(classes)
        self.classes_in_this_experience = list(classes)
        self.task_labels = [0]


def benchmark(
    tables: dict[str, Table], groups: Sequence[Sequence[int]], rows: dict[str, Sequence[Tensor]]
) -> CLScenario[Any]:
    """A scenario with one stream a table; experience k of split s has the rows ``rows[s][k]`` and the classes ``groups[k]``."""
    streams = [
        EagerCLStream(name, [RowExperience(table, rows[name][k], group, k) for k, group in enumerate(groups)])
        for name, table in tables.items()
    ]
    return CLScenario(streams)


def class_groups(
    class_names: Sequence[str], n_experiences: int, order: Literal["seeded", "alphabetical"], seed: int
) -> list[list[int]]:
    """Split classes into ``n_experiences`` disjoint groups; surplus classes go to the first ones.

    ``seeded``: a permutation from (seed, "class_order"); ``alphabetical``: by name. ValueError where there are fewer classes than
    experiences.
    """
    n = len(class_names)
    if n < n_experiences:
        raise ValueError(f"{n} classes cannot make {n_experiences} experiences: lower data.experiences")
    if order == "alphabetical":
        ids = sorted(range(n), key=lambda i: class_names[i])
    else:
        ids = torch.randperm(n, generator=generator(seed, "class_order")).tolist()
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
    order: Literal["seeded", "alphabetical"] = "seeded",
    seed: int = 0,
    field: str = "label",
    hidden: frozenset[str] = frozenset(),
) -> CLScenario[Any]:
    """Class-incremental streams ``train``, ``valid``, ``test`` by the integer column ``field``; columns ``hidden`` are left out of train."""
    groups = class_groups(source.class_names, n_experiences, order, seed)
    tables = {name: table.without(hidden) if name == "train" else table for name, table in source.splits.items()}
    rows: dict[str, list[Tensor]] = {}
    for name, _table in tables.items():
        labels = source.splits[name].columns[field]
        if isinstance(labels, Ragged):
            raise ValueError(f"column '{field}' is ragged and cannot split a stream")
        rows[name] = [torch.isin(labels, torch.tensor(group)).nonzero().flatten() for group in groups]
    return benchmark(tables, groups, {name: list(parts) for name, parts in rows.items()})


def union(scenario: CLScenario[Any]) -> CLScenario[Any]:
    """One experience with the union of all, for an offline upper bound; the evaluation streams stay as they are."""
    train = scenario.streams["train"]
    table = train[0].table
    rows = torch.cat([experience.rows for experience in train]).sort().values
    classes = sorted(c for experience in train for c in experience.classes)
    streams = [EagerCLStream("train", [RowExperience(table, rows, classes, 0)])]
    streams += [EagerCLStream(name, list(s)) for name, s in scenario.streams.items() if name != "train"]
    return CLScenario(streams)
