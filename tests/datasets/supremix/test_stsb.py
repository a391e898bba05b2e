"""Pairs of sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.readers.words import words
from holdfast.datasets.supremix import stsb as supremix_stsb

from .files import sts


def test_sentence_pairs_in_the_released_layout(tmp_path: Path) -> None:
    source = supremix_stsb.load(supremix_stsb.Config(), sts(tmp_path))
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 12, "valid": 4, "test": 3}
    first = source.splits["train"].columns["first"]
    assert isinstance(first, Ragged)
    assert first.lengths.tolist() == [4] * 12
    assert source.info.pairs is not None
    known = source.info.pairs.words
    back = {i: w for w, i in known.items()}
    assert [back[int(i)] for i in first.values[:4]] == ["a", "man", "0", "runs"]
    assert source.info.pairs.vocabulary == len(known) + 2
    rare = supremix_stsb.load(supremix_stsb.Config(min_count=12), tmp_path)
    words = rare.splits["train"].columns["first"]
    assert isinstance(words, Ragged)
    assert int(words.values[2]) == 1  # "0" is unknown now


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9\tx\ta\tb\tnan\n", "train_new.tsv line 14: the target 'score' is nan"),
        ("9\tx\ta\tb\thigh\n", "'high' in the target column"),
        ("9\tx\ta\tb\t7\n", "the score 7 is not in 0 to 5"),
        ("9\tx\ta\t3\n", "4 fields, not 5"),
    ],
)
def test_bad_pairs_are_one_message(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        supremix_stsb.load(supremix_stsb.Config(), sts(tmp_path, line))
    with pytest.raises(DataError, match=r"no train\.tsv"):
        supremix_stsb.load(supremix_stsb.Config(balanced=False), tmp_path)


def test_generated_pairs_differ_between_splits_and_have_all_scores() -> None:
    pairs = supremix_stsb.stand_in(supremix_stsb.Config())
    texts = [{(a, b) for a, b, _ in rows} for rows in pairs.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    scores = [y for _, _, y in pairs["train"]]
    assert min(scores) == 0
    assert max(scores) > 4.5
    for a, b, y in pairs["test"][:50]:
        assert (y == 5.0) == (a == b)


def test_the_texts_of_a_fraction_are_those_of_its_rows(tmp_path: Path) -> None:
    source = supremix_stsb.load(supremix_stsb.Config(n_train=60, n_test=20, fraction=0.3, imbalanced=True), None)
    assert source.info.pairs is not None
    known = {i: word for word, i in source.info.pairs.words.items()}
    for split, table in source.splits.items():
        texts = source.info.pairs.texts[split]
        assert len(texts) == len(table)
        for k, name in enumerate(("first", "second")):
            column = table.columns[name]
            assert isinstance(column, Ragged)
            for i, pair in enumerate(texts):
                ids = column.values[column.offsets[i] : column.offsets[i + 1]].tolist()
                heard = words(pair[k], 40)
                assert len(ids) == len(heard)
                assert all(known.get(number, word) == word for number, word in zip(ids, heard, strict=True))
