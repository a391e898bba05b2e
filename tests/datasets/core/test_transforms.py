"""Changes of rows: cached by all that they depend on, facts of rows follow them, and evaluation sets are splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core import cache
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import (
    Annotation,
    ClassInfo,
    DataInfo,
    RegressionInfo,
    Source,
    SpeechInfo,
    TextPairs,
)
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.core.transforms import Rows, Transform, transformed, with_set
from pydantic import BaseModel

SPLITS = ("train", "valid", "test")


class Config(BaseModel):
    """Of the transform below."""

    times: int = 1


class Reversed:
    """Rows backwards, ``times`` over, with noise; it counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
        self.calls += 1
        origin = torch.arange(len(table)).flip(0).repeat(config.times)
        batch = table.gather(origin)
        x = batch["x"] + torch.rand(len(origin), generator=torch.Generator().manual_seed(seed))
        return Rows(Table({"x": x, "label": batch["label"]}), origin)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))


def source(info: DataInfo, checksum: str = "a", n: int = 4, **columns: Any) -> Source:
    table = Table({"x": torch.arange(float(n)), "label": torch.arange(n) % 2, **columns})
    return Source(dict.fromkeys(SPLITS, table), ["no", "yes"], info, "stand-in", checksum)


def test_it_is_made_once_for_all_that_it_depends_on() -> None:
    first, apply = source(ClassInfo(classes=2)), Reversed()
    step = Transform("reversed", apply, Config())
    once, again = transformed(first, step, ["train"]), transformed(first, step, ["train"])
    assert apply.calls == 1
    made, read = (one.splits["train"].gather(torch.arange(4))["x"] for one in (once, again))
    assert torch.equal(made, read)
    assert once.splits["test"] is first.splits["test"], "only the splits that are named"
    assert once.checksum == again.checksum != first.checksum
    others = [
        transformed(replace(first, checksum="b"), step, ["train"]),
        transformed(first, replace(step, config=Config(times=2)), ["train"]),
        transformed(first, replace(step, seed=1), ["train"]),
        transformed(first, replace(step, version=2), ["train"]),
        transformed(first, replace(step, name="other"), ["train"]),
        transformed(first, replace(step, content="of a file"), ["train"]),
        transformed(first, step, ["valid"]),
    ]
    assert apply.calls == 8
    assert len({other.checksum for other in others} | {once.checksum}) == 8
    assert all(row["kind"].startswith("transform") for row in (entry["key"] for entry in cache.entries()))


def test_a_damaged_entry_is_made_again() -> None:
    apply = Reversed()
    step = Transform("reversed", apply, Config())
    once = transformed(source(ClassInfo(classes=2)), step, ["train"]).splits["train"]
    for path in cache.root().glob("*/rows.pt"):
        path.write_bytes(b"no rows")
    again = transformed(source(ClassInfo(classes=2)), step, ["train"]).splits["train"]
    assert apply.calls == 2
    assert all(torch.equal(once.columns[name], again.columns[name]) for name in once.columns)  # type: ignore[arg-type]


def test_ragged_columns_come_back_as_they_were() -> None:
    ragged = Ragged.from_list([torch.arange(float(k)) for k in (2, 0, 3, 1)])
    given = source(ClassInfo(classes=2), words=ragged)
    keep = Transform("keep", lambda config, table, info, seed: Rows(table, torch.arange(len(table))), Config())
    for _ in range(2):  # made, then read
        words = transformed(given, keep, ["train"]).splits["train"].columns["words"]
        assert isinstance(words, Ragged)
        assert torch.equal(words.values, ragged.values)
        assert torch.equal(words.offsets, ragged.offsets)


def test_facts_of_rows_follow_them() -> None:
    said = [Annotation(str(k), "s", "a", "words") for k in range(4)]
    step = Transform("reversed", Reversed(), Config(times=2))
    speech = source(SpeechInfo(intents=("a", "b"), annotations=dict.fromkeys(SPLITS, said)))
    info = transformed(speech, step, ["train"]).info
    assert isinstance(info, SpeechInfo)
    assert [a.id for a in info.annotations["train"]] == list("32103210")
    assert info.annotations["test"] is said
    pairs = [(str(k), "") for k in range(4)]
    texts = source(RegressionInfo(modality="text", pairs=TextPairs({"w": 2}, dict.fromkeys(SPLITS, pairs))))
    twice = with_set(texts, "twice", "test", [step, replace(step, config=Config())]).info
    assert isinstance(twice, RegressionInfo)
    assert twice.pairs is not None
    assert [first for first, _ in twice.pairs.texts["twice"]] == list("01230123")
    assert twice.pairs.texts["test"] is pairs


def test_rows_before_a_transform_are_remembered() -> None:
    step = Transform("reversed", Reversed(), Config(times=3))
    more = transformed(transformed(source(ClassInfo(classes=2)), step, ["train"]), step, ["train"])
    assert len(more.splits["train"]) == 36
    assert more.drawn == {"train": 4}


def test_sets_of_this_data_and_of_another() -> None:
    own, other = source(ClassInfo(classes=2)), source(ClassInfo(classes=2, usual=(1, 0)), checksum="b", n=6)
    step = Transform("reversed", Reversed(), Config())
    both = with_set(with_set(own, "back", "valid", [step]), "there", "test", (), other)
    assert {split: len(table) for split, table in both.splits.items()} == {
        "train": 4,
        "valid": 4,
        "test": 4,
        "back": 4,
        "there": 6,
    }
    assert both.checksum == own.checksum, "the data that is trained on is the same"
    assert both.sets["there"] == "b"
    assert both.sets["back"] not in ("a", "b")
    usual = both.splits["there"].columns["usual"]
    assert isinstance(usual, torch.Tensor)
    assert usual.tolist() == [1, 0, 1, 0, 1, 0], "another bias is usual there"
    assert with_set(own, "valid", "valid").sets == {"valid": "a"}


def test_what_does_not_fit_is_named() -> None:
    own = source(ClassInfo(classes=2))
    step = Transform("reversed", Reversed(), Config())
    for change, message in (
        (lambda: with_set(own, "x", "unbiased"), "no split 'unbiased' .it has: train, valid, test"),
        (lambda: transformed(own, step, ["unbiased"]), "no split 'unbiased'"),
        (lambda: with_set(own, "valid", "test"), "a split of this name"),
        (lambda: with_set(own, "valid", "valid", [step]), "a split of this name"),
        (lambda: with_set(own, "x", "test", (), source(DataInfo())), "gives a DataInfo, that of training a ClassInfo"),
        (
            lambda: with_set(own, "x", "test", (), replace(own, class_names=["no", "maybe"])),
            "classes are not those of training; only one of them has: maybe, yes",
        ),
        (
            lambda: with_set(source(ClassInfo(classes=2), y=torch.zeros(4)), "x", "test", (), own),
            "no column 'y', which the test rows have",
        ),
        (
            lambda: with_set(own, "x", "test", (), source(ClassInfo(classes=2), n=4, x=torch.zeros(4, 3))),
            r"the column 'x' is float32 \[3\], and float32 \[\] in the test rows",
        ),
    ):
        with pytest.raises(DataError, match=message):
            change()
    speech = source(SpeechInfo(intents=("a",), annotations={}))
    with pytest.raises(DataError, match="intents and features"):
        with_set(speech, "x", "test", (), source(SpeechInfo(intents=("b",))))


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (torch.zeros(0, dtype=torch.int64), "leaves no row"),
        (torch.zeros(3, dtype=torch.int64), "origin of each of its 4 rows"),
        (torch.zeros(4), "origin of each of its 4 rows"),
        (torch.full((4,), 4), "outside 0..3"),
    ],
)
def test_origins_of_a_transform_are_checked(origin: torch.Tensor, message: str) -> None:
    def apply(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
        return Rows(Table({} if not len(origin) else dict(table.columns)), origin)

    with pytest.raises(DataError, match=message):
        transformed(source(ClassInfo(classes=2)), Transform("bad", apply, Config()), ["train"])
    assert not cache.entries(), "nothing half-made is kept"


def test_no_row_of_training_comes_from_a_row_that_is_evaluated() -> None:
    def sourced(train: list[int]) -> Source:
        tables = {
            split: Table({"x": torch.zeros(2), "label": torch.arange(2), "source_id": torch.tensor(ids)})
            for split, ids in zip(SPLITS, (train, [2, 3], [4, 5]), strict=True)
        }
        return Source(tables, ["no", "yes"], ClassInfo(classes=2), "stand-in", str(train))

    def doubled(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
        origin = torch.arange(len(table)).repeat(2)
        return Rows(table.take(origin), origin)

    step = Transform("doubled", doubled, Config())
    assert len(transformed(sourced([0, 1]), step, ["train"]).splits["train"]) == 4
    with pytest.raises(
        DataError, match=r"'doubled': 1 sources of training rows are rows of 'test' too \(source_id 5\)"
    ):
        transformed(sourced([0, 5]), step, ["train"])
    with pytest.raises(DataError, match="'valid' too"):
        transformed(sourced([3, 2]), step, ["train"])


def test_rows_of_a_table_in_any_order() -> None:
    ragged = Ragged.from_list([torch.arange(k) for k in (2, 0, 3)])
    table = Table({"x": torch.arange(3), "words": ragged})
    taken = table.take(torch.tensor([2, 0, 2, 1]))
    assert taken.dense("x").tolist() == [2, 0, 2, 1]
    words = taken.columns["words"]
    assert isinstance(words, Ragged)
    assert words.offsets.tolist() == [0, 3, 5, 8, 8]
    assert words.values.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert len(table.take(torch.tensor([], dtype=torch.int64))) == 0
