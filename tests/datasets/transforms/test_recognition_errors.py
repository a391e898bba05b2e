"""Copies of texts with a recogniser's errors: which rows change, and what is refused."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import DataInfo
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.texts import TextInfo
from holdfast.datasets.spoken import recognition
from holdfast.datasets.transforms import recognition_errors

SENTENCES = ["Wake me up at seven", "set an alarm for eleven", "wake me up at eleven now", "42 $"] * 10
INFO = TextInfo(classes=2)


def rows_of(sentences: list[str]) -> Table:
    n = len(sentences)
    kinds = torch.zeros(n).long()
    kinds[-1] = texts.EDA
    numbers = {"label": torch.arange(n) % 2, "source_id": torch.arange(n), "altered": kinds}
    return Table({"first": texts.packed(sentences), **numbers})


def test_copies_are_other_and_altered_rows_stay() -> None:
    config = recognition_errors.Config(word_error_rate=0.4, copies=2)
    rows = recognition_errors.transform(config, rows_of(SENTENCES), INFO, 3)
    n = len(SENTENCES)
    said, kinds = texts.unpacked(rows.table.columns["first"]), rows.table.dense("altered").tolist()
    assert said[:n] == SENTENCES
    assert kinds == [0] * (n - 1) + [texts.EDA] + [texts.OTHER] * (2 * (n - 1))
    assert rows.origin.tolist() == [*range(n), *range(n - 1), *range(n - 1)]
    first, second = said[n : 2 * n - 1], said[2 * n - 1 :]
    assert first != second
    rate = recognition.measured([s.lower() for s in SENTENCES[:-1]], first).rate
    assert 0.2 < rate < 0.55
    again = recognition_errors.transform(config, rows_of(SENTENCES), INFO, 3)
    assert texts.unpacked(again.table.columns["first"]) == said


def test_without_the_originals_the_rate_is_the_strength() -> None:
    config = recognition_errors.Config(word_error_rate=0.0, keep_original=False)
    rows = recognition_errors.transform(config, rows_of(SENTENCES[:8]), INFO, 3)
    assert rows.table.columns["strength"].tolist() == [0.0] * 8  # type: ignore[union-attr]
    assert texts.unpacked(rows.table.columns["first"])[1:] == [s.lower() for s in SENTENCES[:7]]


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="copies must be 1"):
        recognition_errors.Config(copies=2, keep_original=False)
    with pytest.raises(DataError, match="recognition_errors"):
        recognition_errors.transform(recognition_errors.Config(), rows_of(SENTENCES), DataInfo(), 0)
    monkeypatch.setattr(recognition_errors, "MOST_WORDS", 3)
    with pytest.raises(DataError, match="different words, and 3 at most"):
        recognition_errors.transform(recognition_errors.Config(), rows_of(SENTENCES), INFO, 0)
