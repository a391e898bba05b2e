"""Rows of a table, beside plain loops over its columns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.table import Ragged, Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ROWS = [torch.arange(n * 3, dtype=torch.float32).reshape(n, 3) + 100 * n for n in (2, 0, 5, 1)]


def table() -> Table:
    return Table(
        {
            "x": torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(0)),
            "label": torch.tensor([3, 1, 2, 0], dtype=torch.int32),
            "turned": torch.arange(12.0).reshape(3, 4).t(),
            "sound": Ragged.from_list(ROWS),
        }
    )


@pytest.mark.parametrize("ids", [[2, 0, 2], [1], [], [3, 2, 1, 0]])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_gathered_rows_are_those_of_a_loop(ids: list[int], dtype: torch.dtype) -> None:
    given = table()
    batch = given.gather(torch.tensor(ids, dtype=dtype))
    for name in ("x", "label", "turned"):
        column = given.dense(name)
        expected = [column[i] for i in ids]
        assert batch[name].dtype == column.dtype
        assert batch[name].shape == (len(ids), *column.shape[1:])
        assert all(torch.equal(a, b) for a, b in zip(batch[name], expected, strict=True))
    longest = max((len(ROWS[i]) for i in ids), default=0)
    assert batch["sound"].shape == (len(ids), longest, 3)
    assert batch["sound_lengths"].tolist() == [len(ROWS[i]) for i in ids]
    for got, i in zip(batch["sound"], ids, strict=True):
        assert torch.equal(got[: len(ROWS[i])], ROWS[i])
        assert not got[len(ROWS[i]) :].any()


def test_a_batch_is_its_own() -> None:
    given = table()
    batch = given.gather(torch.tensor([0, 1]))
    before = given.dense("x").clone()
    batch["x"].zero_()
    assert torch.equal(given.dense("x"), before)


@pytest.mark.parametrize("row", [4, -1])
@pytest.mark.parametrize("name", ["x", "sound"])
def test_a_row_that_is_not_there_is_refused(row: int, name: str) -> None:
    with pytest.raises(IndexError):
        Table({name: table().columns[name]}).gather(torch.tensor([0, row]))


class Written(TorchDispatchMode):
    """The largest tensor that an operation wrote (views write none)."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and not func.is_view:
            self.largest = max(self.largest, made.numel())
        return made


def test_gathering_makes_nothing_of_the_size_of_the_table() -> None:
    words = Ragged.from_list([torch.arange(row % 7) + row for row in range(5000)])
    with Written() as written:
        words.gather(torch.tensor([6, 4998, 13, 0]))
    assert 4 * 6 <= written.largest <= 4 * 7
