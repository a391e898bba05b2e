"""What a method may see: the rows of its experience and of the memory; whatever it asks for besides is refused by
name of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.core.view import ExperienceView

N = 12


PAST, NOW, FUTURE = torch.arange(0, 4), torch.tensor([7, 4, 6, 5]), torch.arange(8, N)


def view(**changes: Any) -> ExperienceView:
    """The second of three experiences, with row 2 in the memory."""
    table = Table(
        {
            "x": torch.arange(N).float(),
            "label": torch.arange(N) // 4,
            "words": Ragged.from_list([torch.ones(1 + i) for i in range(N)]),
        }
    )
    given: dict[str, Any] = {
        "experience": 1,
        "n_experiences": 3,
        "index": NOW,
        "classes": (1,),
        "classes_earlier": (0,),
        "n_classes": 3,
        "n_train": N,
        "table": table,
        "batch_size": 3,
        "seed": 0,
        "device": torch.device("cpu"),
        "memory": torch.tensor([2]),
    }
    return ExperienceView(**given | changes)


READ: list[Callable[[ExperienceView, torch.Tensor], Any]] = [
    lambda v, rows: v.batches(rows),
    lambda v, rows: list(v.batches(rows, train=True)),
    lambda v, rows: v.gather(rows),
    lambda v, rows: v.labels(rows=rows),
    lambda v, rows: v.labels("x", rows),
    lambda v, rows: v.sort_lengths(rows),
]


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize(
    ("rows", "named"), [([4, 9], 9), ([8], 8), ([2, 0], 0), ([5, 3, 10], 3), ([4, -1], -1), ([4, N], N), ([-N], -N)]
)
def test_a_row_that_is_not_admitted_is_named(
    read: Callable[[ExperienceView, torch.Tensor], Any], rows: list[int], named: int
) -> None:
    with pytest.raises(ValueError, match=rf"row {named} is neither of experience 1 nor of the memory"):
        read(view(), torch.tensor(rows))


@pytest.mark.parametrize("read", READ)
def test_rows_of_the_experience_and_of_the_memory_are_read(
    read: Callable[[ExperienceView, torch.Tensor], Any],
) -> None:
    read(view(), torch.tensor([4, 2, 7]))
    read(view(), torch.empty(0, dtype=torch.int64))


def test_what_is_read_is_the_table() -> None:
    v = view()
    assert v.labels().tolist() == [1, 1, 1, 1]
    assert v.labels("x").tolist() == [7, 4, 6, 5]
    batches = list(v.batches(torch.tensor([7, 2, 5, 4])))
    assert [b["index"].tolist() for b in batches] == [[7, 2, 5], [4]]
    assert batches[0]["words_lengths"].tolist() == [8, 3, 6]
    assert not any(bool(b["is_memory"].any()) for b in batches)
    lengths = v.sort_lengths(torch.tensor([2, 7]))
    assert lengths is not None
    assert lengths.tolist() == [3, 8]
    assert sorted(v.columns) == ["label", "words", "x"]
    assert v.n_rows == N


def test_a_changed_index_admits_nothing_more() -> None:
    v = view()
    v.index = torch.arange(N)
    v.memory = torch.arange(N)
    for read in (v.labels, v.batches):
        with pytest.raises(ValueError, match="row 0"):
            read()
    v = view()
    v.index[0] = 11  # in place
    with pytest.raises(ValueError, match="row 11"):
        v.labels()


def test_the_whole_table_is_no_field() -> None:
    """No public attribute of the view holds rows that it would refuse."""
    v = view()
    assert not hasattr(v, "table")
    public = [getattr(v, name) for name in dir(v) if not name.startswith("_")]
    assert not any(isinstance(value, Table) for value in public)


@pytest.mark.parametrize("rows", [[-1], [N]])
def test_a_view_of_rows_that_do_not_exist_is_refused(rows: list[int]) -> None:
    for name in ("index", "memory"):
        with pytest.raises(ValueError, match=r"0\.\.11"):
            view(**{name: torch.tensor(rows)})
