"""From examples to a Source, for all text sets of the family: few rows by class, validation from training data, and no
text of test or validation among those of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core import checksums, texts
from ..core.errors import DataError
from ..core.inputs import SentenceInputs
from ..core.seeds import generator
from ..core.source import Source
from ..core.table import Column, Ragged, Table
from ..core.texts import TextInfo


class TextData(BaseModel):
    """Fields of every text set of the family."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shots: int | None = Field(
        None,
        ge=2,
        description="training rows N, as many of each class as there are, those of a smaller N among them; null: all",
    )
    valid_rows: int | None = Field(
        None, ge=1, description="validation rows, drawn by class; null: N of shots, else a tenth of the training rows"
    )
    validation: Literal["auto", "training", "given"] = Field(
        "auto",
        description=(
            "training: drawn from the training rows that are left; given: the data's own validation rows; auto: those, "
            "but with shots from the training rows where some are left"
        ),
    )
    test_rows: int | None = Field(
        None, ge=1, description="test rows, drawn once, the same for every seed; null: all of them"
    )
    overlap: Literal["drop", "keep"] = Field(
        "drop", description="training rows whose texts are those of a validation or test row: left out, or kept"
    )
    seed: int = Field(0, ge=0, description="of the stand-in, the shots and the validation rows; not the run's seed")


class Example(NamedTuple):
    """A row: its texts in the order of ``fields``, and the number of its class."""

    texts: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class Facts:
    """What a set says of itself. ``source``: stand-in or real; the others as in TextInfo."""

    class_names: Sequence[str]
    fields: tuple[str, ...] = ("first",)
    choices: int = 0
    source: str = "real"
    inputs: SentenceInputs | None = None


class Split(NamedTuple):
    """Examples of a split and the number of each among all of the data, its source."""

    examples: Sequence[Example]
    ids: Sequence[int]


def balanced(labels: Sequence[int], n: int, order: Sequence[int]) -> list[int]:
    """At most ``n`` of the rows ``order``, ascending: a row of each class in turn, each class's in that order; classes
    that have no more are passed over. The rows for a smaller ``n`` are among them.
    """
    waiting: dict[int, list[int]] = {label: [] for label in sorted({labels[row] for row in order})}
    for row in order:
        waiting[labels[row]].append(row)
    chosen: list[int] = []
    for turn in range(max(map(len, waiting.values()), default=0)):
        chosen += [rows[turn] for rows in waiting.values() if turn < len(rows)]
    return sorted(chosen[:n])


def key(example: Example) -> tuple[str, ...]:
    """What two rows have in common that hold the same texts, whatever their case and spaces."""
    return tuple(" ".join(text.lower().split()) for text in example.texts)


def divided(
    config: TextData, train: Sequence[Example], valid: Sequence[Example], test: Sequence[Example]
) -> dict[str, Split]:
    """The three splits by the settings: sources are numbered over training, validation and test rows as they are read.

    The shots are the first N of a balanced order of the training rows, validation rows come from its end, so that no
    row is in both. Raises DataError where a split would be empty.
    """
    given = Split(valid, range(len(train), len(train) + len(valid)))
    drawn = torch.randperm(len(test), generator=generator(0, "test rows")).tolist()[: config.test_rows]
    first = len(train) + len(valid)
    tested = Split([test[k] for k in sorted(drawn)], [first + k for k in sorted(drawn)])
    keys, labels = [key(example) for example in train], [example.label for example in train]

    def apart(rows: Iterable[int], others: Iterable[tuple[str, ...]]) -> list[int]:
        taken = set(others) if config.overlap == "drop" else set()
        return [row for row in rows if keys[row] not in taken]

    def named(rows: Sequence[int], validation: Split) -> dict[str, Split]:
        return _checked({"train": Split([train[k] for k in rows], rows), "valid": validation, "test": tested})

    order = torch.randperm(len(train), generator=generator(config.seed, "shots")).tolist()
    ranked = apart(order, map(key, test))
    if config.validation == "given" or (config.validation == "auto" and valid and config.shots is None):
        if not valid:
            raise DataError("validation: given, and the data has no validation rows of its own")
        ranked = apart(ranked, map(key, valid))
        return named(balanced(labels, config.shots or len(ranked), ranked), given)
    if config.shots is None:
        kept = balanced(labels, config.valid_rows or max(1, len(ranked) // 10), ranked[::-1])
        rows = sorted(apart(set(ranked) - set(kept), (keys[k] for k in kept)))
    else:
        rows = balanced(labels, config.shots, ranked)
        chosen = set(rows)
        left = apart((k for k in ranked[::-1] if k not in chosen), (keys[k] for k in rows))
        kept = balanced(labels, config.valid_rows or config.shots, left)
        if not kept and valid and config.validation == "auto":
            return named(apart(rows, map(key, valid)), given)
        if not kept:
            rest = f"none of the {len(ranked)} training rows for validation: lower it"
            raise DataError(f"data.options.shots={config.shots} leaves {rest}")
    return named(rows, Split([train[k] for k in kept], kept))


def _checked(splits: dict[str, Split]) -> dict[str, Split]:
    for name, split in splits.items():
        if not split.examples:
            raise DataError(f"there is no row in the split '{name}': see data.options.shots, valid_rows and overlap")
    return splits


def columns(split: Split, fields: Sequence[str]) -> dict[str, Column]:
    """The columns of the contract: texts, ``label``, ``source_id`` and ``altered``."""
    n = len(split.examples)
    made: dict[str, Column] = {
        field: texts.packed([example.texts[k] for example in split.examples]) for k, field in enumerate(fields)
    }
    made["label"] = torch.tensor([example.label for example in split.examples], dtype=torch.int64)
    made["source_id"] = torch.tensor(list(split.ids), dtype=torch.int64)
    made["altered"] = torch.zeros(n, dtype=torch.int64)
    return made


def finish(config: TextData, examples: Mapping[str, Sequence[Example]], facts: Facts) -> Source[TextInfo]:
    """The Source of examples by split (``train``, ``test`` and, where the data has one, ``valid``).

    Raises DataError where a split is empty, or training rows are all of one class.
    """
    _of_two_classes(examples["train"], facts.class_names)
    splits = divided(config, examples["train"], examples.get("valid", ()), examples["test"])
    _of_two_classes(splits["train"].examples, facts.class_names)
    tables = {name: Table(columns(split, facts.fields)) for name, split in splits.items()}
    info = TextInfo(classes=len(facts.class_names), fields=facts.fields, choices=facts.choices, inputs=facts.inputs)
    return Source(tables, tuple(facts.class_names), info, facts.source, checksum(tables, facts.class_names))


def _of_two_classes(examples: Sequence[Example], class_names: Sequence[str]) -> None:
    labels = {example.label for example in examples}
    if len(labels) < 2:
        names = ", ".join(class_names[k] for k in labels) or "none"
        raise DataError(f"all {len(examples)} training rows are of one class ({names}): a classifier needs two")


def checksum(tables: Mapping[str, Table], class_names: Sequence[str]) -> str:
    """sha256 of the classes' names and all values of all columns."""

    def parts() -> Iterator[checksums.Part]:
        for split, table in tables.items():
            for name, column in table.columns.items():
                for part in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
                    yield f"{split}/{name}", part

    return checksums.checksum(parts(), "\n".join(class_names))
