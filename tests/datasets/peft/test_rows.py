"""Few rows by class, nested; validation from training rows; no text of validation or test among those of training."""

from __future__ import annotations

import itertools

import pytest
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.texts import TextInfo
from holdfast.datasets.peft.rows import Example, Facts, TextData, balanced, finish, key
from pydantic import ValidationError

NAMES = ("a", "b", "c")


def examples(n: int, start: int = 0, classes: int = 3) -> list[Example]:
    return [Example((f"text {k}",), k % classes) for k in range(start, start + n)]


TRAIN, VALID, TEST = examples(90), examples(12, 100), examples(15, 200)


def source(config: TextData, train: list[Example] = TRAIN, valid: list[Example] | None = None) -> Source[TextInfo]:
    return finish(config, {"train": train, "valid": valid or [], "test": TEST}, Facts(NAMES))


def ids(made: Source[TextInfo], split: str) -> set[int]:
    return set(made.splits[split].dense("source_id").tolist())


@pytest.mark.parametrize("seed", [0, 1])
def test_shots_are_balanced_nested_and_apart_from_validation(seed: int) -> None:
    smaller: set[int] = set()
    for n in (4, 5, 8, 16, 32, 45):
        made = source(TextData(shots=n, seed=seed))
        counts = made.splits["train"].dense("label").bincount(minlength=3).tolist()
        assert sum(counts) == n
        assert counts == [n // 3 + (k < n % 3) for k in range(3)], "what is left over goes to the first classes"
        rows, kept = ids(made, "train"), ids(made, "valid")
        assert smaller < rows
        assert not rows & kept
        assert len(kept) == min(n, 90 - n)
        smaller = rows
    assert ids(source(TextData(shots=16, seed=2)), "train") != ids(source(TextData(shots=16, seed=3)), "train")


def test_a_class_with_few_rows_is_passed_over() -> None:
    labels = [0] * 10 + [1] * 2 + [2] * 10
    chosen = balanced(labels, 12, range(22))
    assert [sum(labels[k] == c for k in chosen) for c in range(3)] == [5, 2, 5]
    assert len(balanced(labels, 50, range(22))) == 22
    assert balanced(labels, 3, []) == []


def test_all_rows_leave_a_tenth_for_validation() -> None:
    made = source(TextData())
    assert (len(made.splits["train"]), len(made.splits["valid"])) == (81, 9)
    assert made.splits["valid"].dense("label").bincount().tolist() == [3, 3, 3]
    assert ids(made, "train") | ids(made, "valid") == set(range(90))
    assert len(source(TextData(valid_rows=30)).splits["valid"]) == 30


def test_fewer_test_rows_are_the_same_for_every_seed() -> None:
    fewer = [source(TextData(test_rows=6, seed=seed)) for seed in (0, 1)]
    assert ids(fewer[0], "test") == ids(fewer[1], "test") < ids(source(TextData()), "test")
    assert len(ids(fewer[0], "test")) == 6
    assert ids(source(TextData(test_rows=99)), "test") == ids(source(TextData()), "test")
    copied = [*TRAIN, *TEST]
    assert not ids(source(TextData(test_rows=1), copied), "train") & set(range(90, 105)), "texts of all test rows leave"


def test_given_validation_rows() -> None:
    assert ids(source(TextData(), valid=VALID), "valid") == set(range(90, 102))
    few = source(TextData(shots=30), valid=VALID)
    assert ids(few, "valid") < set(range(90)), "with shots they are training rows that are left"
    given = source(TextData(shots=30, validation="given"), valid=VALID)
    assert ids(given, "valid") == set(range(90, 102))
    assert ids(given, "train") == ids(few, "train")
    everything = source(TextData(shots=90), valid=VALID)
    assert ids(everything, "valid") == set(range(90, 102)), "none are left"
    with pytest.raises(DataError, match="no validation rows of its own"):
        source(TextData(validation="given"))
    with pytest.raises(DataError, match="shots=90 leaves none of the 90 training rows for validation"):
        source(TextData(shots=90, validation="training"), valid=VALID)


@pytest.mark.parametrize("config", [TextData(), TextData(shots=40), TextData(shots=40, validation="given")])
def test_no_text_is_in_two_splits(config: TextData) -> None:
    """Texts of test and validation rows stand among the training rows too, in other case and spaces."""
    again = [Example((e.texts[0].upper().replace(" ", "  "),), e.label) for e in (*TEST[:5], *VALID[:5], *TRAIN[:20])]
    made = source(config, [*TRAIN, *again], VALID)
    found = {
        split: {key(Example((text,), 0)) for text in texts.unpacked(table.columns["first"])}
        for split, table in made.splits.items()
    }
    for one, two in itertools.combinations(found, 2):
        assert not found[one] & found[two] or (one, two) == ("valid", "test")
    kept = source(config.model_copy(update={"overlap": "keep", "shots": None}), [*TRAIN, *again], VALID)
    assert len(kept.splits["train"]) > len(source(TextData(), [*TRAIN, *again], VALID).splits["train"])


def test_columns_and_facts() -> None:
    made = source(TextData(shots=6))
    train = made.splits["train"]
    assert list(train.columns) == ["first", "label", "source_id", "altered"]
    assert train.dense("altered").tolist() == [0] * 6
    assert train.dense("label").tolist() == [k % 3 for k in train.dense("source_id").tolist()]
    assert texts.unpacked(train.columns["first"]) == [f"text {k}" for k in train.dense("source_id").tolist()]
    assert made.info == TextInfo(classes=3)
    assert made.checksum == source(TextData(shots=6)).checksum != source(TextData(shots=7)).checksum


def test_one_class_is_none() -> None:
    with pytest.raises(DataError, match=r"all 90 training rows are of one class \(a\)"):
        source(TextData(), examples(90, classes=1))
    with pytest.raises(ValidationError):
        TextData(shots=1)
