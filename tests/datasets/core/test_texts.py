"""Text columns: bytes that go round, and what is no text."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.sampling import balanced_batches
from holdfast.datasets.core.texts import packed, unpacked


def test_texts_go_round_with_empty_ones_and_all_letters() -> None:
    texts = ["a cat", "", "naïve 猫 \U0001f408", " x "]
    column = packed(texts)
    assert unpacked(column) == texts
    assert unpacked(column, torch.tensor([2, 0, 2])) == [texts[2], texts[0], texts[2]]


def test_what_is_no_text_is_an_error() -> None:
    with pytest.raises(DataError, match="row 1 holds half of a surrogate pair"):
        packed(["a", "\ud83d"])
    with pytest.raises(DataError, match="at least one row"):
        packed([])
    with pytest.raises(DataError, match="ragged and holds the bytes"):
        unpacked(torch.zeros(3))


def test_balanced_batches_show_every_row_before_one_comes_twice() -> None:
    labels = torch.tensor([0] * 10 + [1] * 3 + [2] * 3)
    batches = balanced_batches(labels, 7, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [7, 7, 7]
    for batch in batches:
        counts = labels[batch].bincount(minlength=3)
        assert int(counts.max() - counts.min()) <= 1
    rows = torch.cat(batches)
    assert len(rows[labels[rows] == 0].unique()) == int((labels[rows] == 0).sum()), "no row of a large class twice"
    seen = rows[labels[rows] == 1].bincount(minlength=13)[10:]
    assert int(seen.max() - seen.min()) <= 1
