"""What a method may see of the training data in one experience."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field

import torch
from torch import Tensor

from .seeds import generator
from .table import Batch, Table


class Sidecar:
    """Named tensors about rows that a method keeps between steps (running losses, stored logits): [n_train_rows, ...],
    or of the rows that another entry lists.

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
        if not isinstance(column, Tensor):
            raise KeyError(f"column '{name}' is ragged or lazy: read it with batches()")
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
