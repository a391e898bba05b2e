"""Rows and batches.

A :class:`Table` holds N rows of named columns; a column is a dense tensor [N, ...], a :class:`Ragged` one, or a
:class:`Lazy` one, whose rows are made when they are asked for. Dense tensors and the values of ragged columns may be
files (:mod:`.mapped`). A batch is a dict of tensors: dense and lazy columns as [B, ...], ragged ones padded with zeros
to [B, L, ...] with ``<name>_lengths`` [B], besides ``index`` [B] (row ids of the table) and ``is_memory`` [B].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from . import mapped

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Ragged:
    """N sequences of unequal length, joined: ``values`` [sum of lengths, ...], ``offsets`` [N + 1] int64."""

    values: Tensor
    offsets: Tensor

    @classmethod
    def from_list(cls, rows: Sequence[Tensor]) -> Ragged:
        """Join ``rows`` (tensors that agree in all but the first dimension). Raises ValueError for an empty list."""
        if not rows:
            raise ValueError("a ragged column needs at least one row, to know its type and shape")
        lengths = torch.tensor([0, *(row.shape[0] for row in rows)], dtype=torch.int64)
        return cls(torch.cat(list(rows)), lengths.cumsum(0))

    def __len__(self) -> int:
        return self.offsets.shape[0] - 1

    @property
    def lengths(self) -> Tensor:
        """Length of each row, [N] int64."""
        return self.offsets[1:] - self.offsets[:-1]

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rows ``index`` [B] padded with zeros: [B, longest, ...] and their lengths [B]; raises as a table does."""
        _check_device(index, self.offsets)
        first = _rows(self.offsets[:-1], index)
        lengths = _rows(self.offsets[1:], index) - first  # not those of all N rows: a step does not grow with the table
        longest = int(lengths.max()) if index.numel() else 0
        steps = torch.arange(longest, device=lengths.device)
        valid = steps < lengths[:, None]  # [B, L]
        inside = steps.minimum((lengths - 1).clamp_(min=0)[:, None])  # what pads is read from the row itself
        position = (first[:, None] + inside).clamp_(max=max(self.values.shape[0] - 1, 0))
        mapped.ahead(self.values, first, lengths)
        rows = _rows(self.values, position)  # [B, L, ...]
        mapped.touched(self.values, len(lengths), rows.numel() * rows.itemsize)
        return rows.masked_fill_(~valid.view(*valid.shape, *[1] * (rows.dim() - 2)), 0), lengths

    def take(self, rows: Tensor) -> Ragged:
        """The column of the rows ``rows`` [M], in their order; a row may come more than once."""
        lengths = self.lengths[rows]
        ends = lengths.cumsum(0)
        shift = torch.repeat_interleave(self.offsets[rows] - (ends - lengths), lengths)
        return Ragged(self.values[torch.arange(len(shift)) + shift], torch.cat([ends.new_zeros(1), ends]))

    def to(self, device: torch.device) -> Ragged:
        return Ragged(self.values.to(device), self.offsets.to(device))


def _check_device(index: Tensor, column: Tensor) -> None:
    """Raises ValueError for row ids that torch cannot look up there: only those on a CPU go with every column."""
    if index.device.type != "cpu" and index.device != column.device:
        raise ValueError(f"row ids on {index.device} into a column on {column.device}: give index.cpu()")


def _rows(column: Tensor, index: Tensor) -> Tensor:
    """``column[index]`` [*index.shape, ...]. Where both lie on one device by index_select, which copies whole rows and
    is several times as fast on a CPU. Raises IndexError for a row that is not there.
    """
    if index.device != column.device:
        return column[index]
    return column.index_select(0, index.reshape(-1)).view(*index.shape, *column.shape[1:])


@dataclass(frozen=True)
class Lazy:
    """N rows of one shape and type that no memory holds: ``make(index [B]) -> [B, *shape]``, the same for the same
    index, in any process.

    ``content`` names what the rows are (a digest), for checksums; ``picked``: row k is the row ``picked[k]`` of what
    ``make`` makes.
    """

    rows: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[Tensor], Tensor]
    content: str
    picked: Tensor | None = None

    def __len__(self) -> int:
        return self.rows if self.picked is None else len(self.picked)

    def gather(self, index: Tensor) -> Tensor:
        """Rows ``index`` [B], [B, *shape]. Raises IndexError for a row that is not there."""
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"rows lie in 0..{len(self) - 1}")
        return self.make(index if self.picked is None else self.picked[index])

    def take(self, rows: Tensor) -> Lazy:
        """The column of these rows."""
        return replace(self, picked=rows if self.picked is None else self.picked[rows])


Column = Tensor | Ragged | Lazy


@dataclass(frozen=True)
class Table:
    """N rows of named columns (equal length; ValueError otherwise)."""

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        sizes = {name: len(column) for name, column in self.columns.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"columns of unequal length: {sizes}")
        for name in ("index", "is_memory"):
            if name in sizes:
                raise ValueError(f"'{name}' is a name of the batch and cannot be a column")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def gather(self, index: Tensor) -> Batch:
        """The batch of rows ``index`` [B] (without ``is_memory``).

        Raises ValueError where ``index`` is on another device than a column; one on the CPU goes with every column.
        """
        batch: Batch = {}
        for name, column in self.columns.items():
            if isinstance(column, Ragged):
                batch[name], batch[f"{name}_lengths"] = column.gather(index)
            elif isinstance(column, Lazy):
                batch[name] = column.gather(index)
            else:
                _check_device(index, column)
                mapped.ahead(column, index)
                rows = batch[name] = _rows(column, index)
                mapped.touched(column, len(rows), rows.numel() * rows.itemsize)
        batch["index"] = index
        return batch

    def dense(self, name: str) -> Tensor:
        """The dense column ``name``. Raises ValueError for one that is ragged or lazy, KeyError where there is none."""
        column = self.columns[name]
        if not isinstance(column, Tensor):
            raise ValueError(f"the column '{name}' is {type(column).__name__.lower()}, not dense")
        return column

    def take(self, rows: Tensor) -> Table:
        """The table of the rows ``rows`` [M], in their order."""
        return Table({k: c[rows] if isinstance(c, Tensor) else c.take(rows) for k, c in self.columns.items()})

    def sort_lengths(self) -> Tensor | None:
        """Lengths to bucket by: those of the ragged column with the most values; None where no column is ragged."""
        ragged = [column for column in self.columns.values() if isinstance(column, Ragged)]
        return max(ragged, key=lambda column: column.values.shape[0]).lengths if ragged else None

    def without(self, names: frozenset[str]) -> Table:
        return Table({name: column for name, column in self.columns.items() if name not in names})

    def to(self, device: torch.device) -> Table:
        """The table on ``device``; lazy columns stay where they are made."""
        return Table({name: c if isinstance(c, Lazy) else c.to(device) for name, c in self.columns.items()})
