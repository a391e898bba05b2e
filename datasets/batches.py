"""Rows, batches and what a method may see of them.

A :class:`Table` holds N rows of named columns; a column is a dense tensor [N, ...] or a :class:`Ragged` one. A batch is a dict of
tensors: dense columns as [B, ...], ragged ones padded with zeros to [B, L, ...] with ``<name>_lengths`` [B], besides ``index`` [B]
(row ids of the table) and ``is_memory`` [B].
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

import torch
from torch import Tensor

Batch = dict[str, Tensor]


def derive(seed: int, purpose: str) -> int:
    """Seed of one purpose: the first 63 bits of sha256 of ``"<seed>/<purpose>"``.

    A generator depends on nothing else, so that adding a method, a seed or another purpose never moves its numbers.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator for (seed, purpose); see :func:`derive`."""
    return torch.Generator().manual_seed(derive(seed, purpose))


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
        """Rows ``index`` [B] padded with zeros: [B, longest, ...] and their lengths [B]."""
        lengths = self.lengths[index]
        longest = int(lengths.max()) if index.numel() else 0
        steps = torch.arange(longest, device=lengths.device)
        valid = steps < lengths[:, None]  # [B, L]
        position = (self.offsets[index][:, None] + steps).clamp_(max=max(self.values.shape[0] - 1, 0))
        rows = self.values[position]  # [B, L, ...]
        return rows.masked_fill_(~valid.view(*valid.shape, *[1] * (rows.dim() - 2)), 0), lengths

    def to(self, device: torch.device) -> Ragged:
        return Ragged(self.values.to(device), self.offsets.to(device))


@dataclass(frozen=True)
class Table:
    """N rows of named columns (equal length; ValueError otherwise)."""

    columns: Mapping[str, Tensor | Ragged]

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
        """The batch of rows ``index`` [B] (without ``is_memory``)."""
        batch: Batch = {}
        for name, column in self.columns.items():
            if isinstance(column, Ragged):
                batch[name], batch[f"{name}_lengths"] = column.gather(index)
            else:
                batch[name] = column[index]
        batch["index"] = index
        return batch

    def sort_lengths(self) -> Tensor | None:
        """Lengths to bucket by: those of the ragged column with the most values; None where no column is ragged."""
        ragged = [column for column in self.columns.values() if isinstance(column, Ragged)]
        return max(ragged, key=lambda column: column.values.shape[0]).lengths if ragged else None

    def without(self, names: frozenset[str]) -> Table:
        return Table({name: column for name, column in self.columns.items() if name not in names})

    def to(self, device: torch.device) -> Table:
        return Table({name: column.to(device) for name, column in self.columns.items()})


class DataError(Exception):
    """Data that is missing, broken or not what its reader expects; the message says what and where."""


SHOWN = 10  # faults in a message; ``suites data check`` lists all


def refuse(what: str, faults: Sequence[str]) -> None:
    """Raise DataError with the first of ``faults`` in ``what``; nothing where there is none."""
    if faults:
        more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DataError(f"{what}: {count}\n  " + "\n  ".join(faults[:SHOWN]) + more)


@dataclass(frozen=True)
class Source:
    """What a data set hands to a run.

    ``splits`` holds the tables ``train``, ``valid`` and ``test``; ``class_names`` names the values of the column ``label``, by which
    class-incremental streams are split; ``info`` is what a model or a problem needs besides (vocabulary, texts);
    ``source`` is ``stand-in``, ``real`` or ``real-text-spoken``; ``checksum`` identifies the data. ``random_split``:
    the data set's seed draws train and test anew from one table, so that the rows of two seeds overlap.
    """

    splits: Mapping[str, Table]
    class_names: Sequence[str]
    info: Mapping[str, Any]
    source: str
    checksum: str
    random_split: bool = False


def epoch_batches(
    n: int,
    batch_size: int,
    order: torch.Generator,
    lengths: Tensor | None = None,
    drop_last: bool = False,
    pool: int = 16,
) -> list[Tensor]:
    """Positions 0..n-1 in batches: a permutation cut in order; with ``lengths`` [n] sorted by length within pools of
    ``pool`` batches first and the batches shuffled after, so that padding stays small. The loader path and the
    in-memory path both take their batches from here.
    """
    permutation = torch.randperm(n, generator=order)
    if lengths is None:
        batches = list(permutation.split(batch_size))
    else:
        batches = []
        for part in permutation.split(batch_size * pool):
            part = part[torch.argsort(lengths[part], stable=True)]
            batches.extend(part.split(batch_size))
        batches = [batches[i] for i in torch.randperm(len(batches), generator=order).tolist()]
    if drop_last:
        batches = [batch for batch in batches if len(batch) == batch_size]
    return batches


class Sidecar:
    """Named per-sample tensors [n_train_rows, ...] that a method keeps between steps (running losses, pseudo-transcripts).

    Part of the checkpoint. Raises KeyError for a name never set.
    """

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __setitem__(self, name: str, value: Tensor) -> None:
        self._tensors[name] = value.detach()

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._tensors)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._tensors = dict(state)


@dataclass
class ExperienceView:
    """What a method may see of the training data in one experience: the rows ``index`` and those of the memory,
    nothing else.

    ``index`` [n] are the row ids of this experience; ``classes`` its classes, ``classes_earlier`` those of earlier
    ones (some of them ``classes`` again where classes repeat); ``n_train`` counts the training rows of the whole
    stream, ``memory`` [m] are the rows that the method held when the experience began. ``table`` is not kept as a
    field: rows are read by :meth:`labels`, :meth:`gather` and :meth:`batches` alone, which raise ValueError with the
    first row id that is neither of this experience nor of the memory. Columns hidden from training do not exist.
    """

    experience: int
    n_experiences: int
    index: Tensor
    classes: tuple[int, ...]
    classes_earlier: tuple[int, ...]
    n_classes: int
    n_train: int
    table: InitVar[Table]
    batch_size: int
    seed: int
    device: torch.device
    sidecar: Sidecar = field(default_factory=Sidecar)
    memory: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __post_init__(self, table: Table) -> None:
        rows = torch.cat([self.index, self.memory])
        if bool(((rows < 0) | (rows >= len(table))).any()):
            raise ValueError(f"rows of the experience and the memory lie in 0..{len(table) - 1}, the table's rows")
        self.__table, self.__admitted = table, torch.zeros(len(table), dtype=torch.bool)
        self.__admitted[rows] = True

    @property
    def classes_seen(self) -> tuple[int, ...]:
        """Classes of this and all earlier experiences, each once."""
        return tuple(dict.fromkeys((*self.classes_earlier, *self.classes)))

    @property
    def past_counts(self) -> tuple[int, int]:
        """(past, past + new): classes where no class returns, else experiences, since classes that return are
        neither.
        """
        if set(self.classes_earlier) & set(self.classes):
            return self.experience, self.experience + 1
        return len(self.classes_earlier), len(self.classes_seen)

    @property
    def past_share(self) -> float:
        """L_p / (L_p + L_n) of :attr:`past_counts`: 0 in the first experience."""
        past, both = self.past_counts
        return past / both if both else 0.0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that training may see."""
        return tuple(self.__table.columns)

    @property
    def n_rows(self) -> int:
        """Rows of the whole training table: every row id lies in 0..n_rows - 1."""
        return len(self.__table)

    def admit(self, rows: Tensor) -> Tensor:
        """``rows`` [m] on the CPU. Raises ValueError naming the first that is neither of this experience nor of its
        memory.
        """
        rows = rows.cpu()
        known = (rows >= 0) & (rows < self.n_rows)
        outside = rows[~self.__admitted[rows]] if bool(known.all()) else rows[~known]
        if len(outside):
            raise ValueError(
                f"row {int(outside[0])} is neither of experience {self.experience} nor of the memory: a method "
                "sees no other rows (view.index, and what memory() returned when the experience began)"
            )
        return rows

    def labels(self, name: str = "label", rows: Tensor | None = None) -> Tensor:
        """Column ``name`` of ``rows`` (default: this experience's), [n, ...].

        Raises KeyError for an absent (or hidden) column, ValueError for a row that may not be seen.
        """
        column = self.__table.columns[name]
        if isinstance(column, Ragged):
            raise KeyError(f"column '{name}' is ragged: read it with batches()")
        return column[self.admit(self.index if rows is None else rows)]

    def sort_lengths(self, rows: Tensor) -> Tensor | None:
        """Lengths [n] to bucket ``rows`` by, as of :meth:`Table.sort_lengths`; None where no column is ragged."""
        lengths, rows = self.__table.sort_lengths(), self.admit(rows)
        return None if lengths is None else lengths[rows]

    def gather(self, rows: Tensor) -> Batch:
        """The batch of ``rows`` [B] on the device (without ``is_memory``). Raises ValueError for a row that may not
        be seen.
        """
        return {name: value.to(self.device) for name, value in self.__table.gather(self.admit(rows)).items()}

    def batches(self, indices: Tensor | None = None, train: bool = False) -> Iterator[Batch]:
        """Batches of ``indices`` (default: this experience) on the device, in the given order; ``train`` shuffles them.

        Shuffling depends on (seed, experience) alone. Raises ValueError, before the first batch, for a row that may
        not be seen.
        """
        rows = self.admit(self.index if indices is None else indices)
        if train:
            rows = rows[torch.randperm(len(rows), generator=generator(self.seed, f"view/{self.experience}"))]
        return self._batches(rows)

    def _batches(self, rows: Tensor) -> Iterator[Batch]:
        for part in rows.split(self.batch_size):
            yield {**self.gather(part), "is_memory": torch.zeros(len(part), dtype=torch.bool, device=self.device)}

    def steps(self, n_rows: int) -> int:
        return math.ceil(n_rows / self.batch_size)
