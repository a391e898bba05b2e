"""EDA as a transform of rows: labels, sources, counts, corners, and the same texts in every process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import DataInfo
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.texts import TextInfo
from holdfast.datasets.transforms import eda
from holdfast.datasets.transforms.word_operations import clean
from pydantic import ValidationError

REVIEWS = ["A great film, truly!", "It's a dull movie with 3 weak scenes and a slow plot.", "", "123", "Fun"]
INFO = TextInfo(classes=2)


def rows_of(sentences: list[str], second: list[str] | None = None) -> Table:
    n = len(sentences)
    more = {} if second is None else {"second": texts.packed(second)}
    numbers = {"label": torch.arange(n) % 2, "source_id": 100 + torch.arange(n), "altered": torch.zeros(n).long()}
    return Table({"first": texts.packed(sentences), **more, **numbers})


def changed(config: eda.Config, table: Table, info: TextInfo = INFO, seed: int = 5) -> tuple[list[str], Table]:
    made = eda.transform(config, table, info, seed).table
    return texts.unpacked(made.columns["first"]), made


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("copies", [1, 3, 4, 9])
def test_copies_have_label_and_source_of_their_original(strict: bool, copies: int) -> None:
    table = rows_of(REVIEWS)
    rows = eda.transform(eda.Config(copies=copies, strict_reference=strict), table, INFO, 5)
    assert len(rows.table) == 5 * (1 + copies)
    for name in ("label", "source_id"):
        assert torch.equal(rows.table.dense(name), table.dense(name)[rows.origin])
    assert torch.equal(rows.table.dense("altered"), (torch.arange(len(rows.origin)) >= 5).long() * texts.EDA)
    found = texts.unpacked(rows.table.columns["first"])
    assert found[:5] == ([clean(t) or t for t in REVIEWS] if strict else REVIEWS)
    assert {t for t, k in zip(found, rows.origin.tolist(), strict=True) if k == 2} == {""}
    assert {t for t, k in zip(found, rows.origin.tolist(), strict=True) if k == 3} == {"123"}


def test_other_rows_change_nothing() -> None:
    both, _ = changed(eda.Config(copies=1), rows_of([REVIEWS[1], REVIEWS[0]]))
    one, _ = changed(eda.Config(copies=1), rows_of(REVIEWS[:1]))
    assert both[3] == one[1]
    other, _ = changed(eda.Config(copies=1), rows_of(REVIEWS[1:2]), seed=6)
    assert other[1] != both[2]


def test_rates_of_zero_give_the_clean_text() -> None:
    found, _ = changed(eda.Config(alpha=0, copies=4), rows_of(REVIEWS[1:2]))
    assert found == [REVIEWS[1], *[clean(REVIEWS[1])] * 4]


def test_few_operations_still_give_every_copy_and_the_authors_code_fewer() -> None:
    settings = {"alpha": 0, "swap": 0.3, "copies": 4}
    found, _ = changed(eda.Config(**settings), rows_of(REVIEWS[1:2]))
    assert len(found) == 5
    assert {" ".join(sorted(text.split())) for text in found[1:]} == {" ".join(sorted(clean(REVIEWS[1]).split()))}
    assert len(changed(eda.Config(**settings, strict_reference=True), rows_of(REVIEWS[1:2]))[0]) == 3


def test_copies_differ_from_the_original_where_some_do() -> None:
    config = eda.Config(alpha=0.05, copies=1)
    for seed in range(30):
        assert changed(config, rows_of(REVIEWS[1:2]), seed=seed)[0][1].split() != clean(REVIEWS[1]).split()
    strict = config.model_copy(update={"strict_reference": True})
    found = [changed(strict, rows_of(REVIEWS[1:2]), seed=seed)[0][1].split() for seed in range(60)]
    assert clean(REVIEWS[1]).split() in found, "the authors' code keeps such copies"


def test_a_share_of_candidates() -> None:
    sizes = [len(changed(eda.Config(copies=0.5), rows_of(REVIEWS[1:2]), seed=s)[0]) for s in range(40)]
    assert set(sizes) <= {1, 2, 3, 4, 5}
    assert 0.2 < sum(sizes) / 40 - 1 < 0.9


def test_one_altered_text_in_the_place_of_each() -> None:
    found, table = changed(eda.Config(copies=1, keep_original=False, alpha=0.3), rows_of(REVIEWS))
    assert len(found) == 5
    assert table.dense("altered").tolist() == [texts.EDA] * 5
    assert table.dense("strength").tolist() == [0.3] * 5
    assert found[2:4] == ["", "123"]


def test_altered_rows_are_not_altered_again() -> None:
    _, once = changed(eda.Config(copies=1), rows_of(REVIEWS))
    rows = eda.transform(eda.Config(copies=2), once, INFO, 9)
    assert len(rows.table) == 10 + 10
    assert rows.origin[10:].max() < 5


def test_fields_of_a_pair() -> None:
    table = rows_of(["a great film"] * 2, ["the plot is dull and slow", ""])
    info = TextInfo(classes=2, fields=("first", "second"))
    for fields, same in (("first", "second"), ("second", "first")):
        made = eda.transform(eda.Config(copies=2, alpha=0.4, fields=fields), table, info, 1).table
        assert texts.unpacked(made.columns[same]) == texts.unpacked(table.take(torch.tensor([0, 1] * 3)).columns[same])
        assert texts.unpacked(made.columns[fields])[2] != texts.unpacked(table.columns[fields])[0]
    with pytest.raises(DataError, match="one text each"):
        eda.transform(eda.Config(fields="second"), rows_of(REVIEWS), INFO, 0)
    with pytest.raises(DataError, match="the transform 'eda' reads data with a TextInfo"):
        eda.transform(eda.Config(), rows_of(REVIEWS), DataInfo(), 0)


CODE = """
import random
from holdfast.datasets.transforms import synonyms, word_operations
known, draws = synonyms.provider("lexicon"), random.Random(3)
words = "a dull movie with weak scenes and a slow plot".split()
made = [word_operations.replace(words, 3, known, draws) for _ in range(8)]
made += [word_operations.insert(words, 2, known, draws) for _ in range(8)]
"""


def test_the_same_words_in_every_process() -> None:
    """Whatever the process's hashing: what is drawn from is a list in a known order."""
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # here it is another one
    there = [sys.executable, "-c", CODE + "print(made)"]
    found = subprocess.run(there, env=environment, capture_output=True, text=True, check=True)
    here: dict[str, object] = {}
    exec(CODE, here)
    assert found.stdout == f"{here['made']}\n"


def test_settings_that_do_not_go_together() -> None:
    for wrong in (
        {"copies": 2.5},
        {"copies": 0},
        {"strict_reference": True, "keep_digits": True},
        {"keep_original": False},
        {"synonyms": "file"},
        {"synonyms": "wordnet", "synonyms_file": "x"},
    ):
        with pytest.raises(ValidationError):
            eda.Config(**wrong)
