"""What a run predicted of each row of a split, and how wrong it was: to study the errors."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.errors import Fault
from . import shards

if TYPE_CHECKING:
    from .loading import TrainedRun

Document = dict[str, Any]
VALUES = 16  # values of a row's prediction that are shown at most; more are in the Parquet files


def predictions(
    target: str | Path, *, split: str = "test", worst: int | None = None, out: str | Path | None = None
) -> Iterator[Document]:
    """What a run predicted of each row of a split of its data (or an evaluation set), as ``suites predictions`` writes
    it: a document a row with ``split``, ``row``, ``truth``, ``row_error`` and ``predicted/NAME``.

    Args:
        worst: the rows with the largest ``row_error`` alone, so many, the worst first.

    A run with ``evaluate.predictions`` keeps them as Parquet files in ``predictions/``, vectors too; of others they are
    predicted now, with the weights of the run's end.
    """
    from .asked import out_of
    from .loading import TrainedRun, folder_of

    return documents(TrainedRun(folder_of(str(target), out_of(out))), split, worst)


def documents(run: TrainedRun, split: str, worst: int | None) -> Iterator[Document]:
    """One document a row of ``split``, in the order of the evaluation, or of the ``worst`` rows, the worst first:
    ``split``, ``row``, ``truth`` (and ``class``) where the data has a column ``label``, ``row_error`` as the problem
    defines it, and what was predicted (of vectors of more than :data:`VALUES` values nothing).

    From the run's ``predictions/`` where it keeps all rows of the split, else predicted now with the weights of its
    end. Raises Fault at once where the data is not what the run was trained on, there is no such split, or the problem
    knows no error of a row and the worst are asked for.
    """
    run.check_data()
    splits = run.data.splits
    if split not in splits:
        raise Fault.usage(f"the data has no split '{split}'", "--split", f"--split {' or '.join(splits)}")
    if worst is not None and worst < 1:
        raise Fault.usage(f"the {worst} worst rows are none", "--worst", "--worst 20")
    rows = _Rows(run, split)
    if worst is None:
        return rows.documents()
    return rows.worst(worst)


class _Rows:
    """The rows of a split with what was predicted of them."""

    def __init__(self, run: TrainedRun, split: str) -> None:
        from ..config import registry

        self.run, self.split, self.table = run, split, run.data.splits[split]
        self.problem = registry.problem(run.recipe.problem)(run.data)
        label = self.table.columns.get("label")
        self.labels: Any = label if hasattr(label, "dtype") else None
        self.kept = shards.count(run.folder, split) == len(self.table)
        if not self.kept:
            _ = run.method  # what is wrong with the checkpoint is said before the first row

    def documents(self) -> Iterator[Document]:
        for outputs, rows in self._pairs():
            errors = self.problem.row_errors(outputs, rows, self.split)
            for k, row in enumerate(rows.tolist()):
                error = {} if errors is None else {"row_error": float(errors[k])}
                yield {"split": self.split, "row": row, **self._truth(row), **error, **_shown(outputs, k)}

    def worst(self, count: int) -> Iterator[Document]:
        made = self.documents()
        first = next(made, None)
        if first is not None and "row_error" not in first:
            what = f"the problem '{self.run.recipe.problem}' knows no error of a single row"
            raise Fault.usage(what, "--worst", f"suites predictions {self.run.folder} --split {self.split}")
        every = made if first is None else _with(first, made)
        return iter(heapq.nlargest(count, every, key=_wrong))

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        import numpy as np

        from . import build

        if self.kept:
            yield from shards.stored(self.run.folder, self.split)
            return
        size = self.run.recipe.evaluate.batch_size
        for start in range(0, len(self.table), size):
            rows = range(start, min(start + size, len(self.table)))
            outputs = self.run.outputs(build.batch_of(self.table, rows))
            yield {name: value.numpy() for name, value in outputs.items()}, np.array(rows)

    def _truth(self, row: int) -> Document:
        if self.labels is None:
            return {}
        value, names = self.labels[row].item(), self.run.data.class_names
        return {"truth": value, **({"class": str(names[value])} if names and isinstance(value, int) else {})}


def _with(first: Document, rest: Iterator[Document]) -> Iterator[Document]:
    yield first
    yield from rest


def _wrong(document: Document) -> float:
    """What is no number is the worst."""
    error = float(document["row_error"])
    return math.inf if math.isnan(error) else error


def _shown(outputs: Any, k: int) -> Document:
    values = ((name, value[k]) for name, value in outputs.items() if value[k].size <= VALUES)
    return {f"predicted/{name}": value.tolist() for name, value in values}
