"""Classified sentences of one's own, SST-2 and their like: label TAB sentence, CSV, or JSON lines; else the stand-in.

Under the root: ``NAME_train`` and ``NAME_test`` (``.txt``, ``.tsv``, ``.csv``, ``.jsonl``, also ``.gz``), or the folder
NAME with ``train`` and ``test``, or these in the root itself; validation rows as ``valid``, ``val`` or ``dev``. Without
a test file (GLUE hides its labels: there ``test`` has none) the validation rows are the test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from ..core.errors import DataError, refuse
from ..core.inputs import SentenceInputs
from ..core.source import Source
from ..core.texts import TextInfo
from ..readers import labelled_texts
from ..readers.labelled_texts import Record
from . import toy_sentiment
from .rows import Example, Facts, TextData, finish

STEMS = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}
TEXT_NAMES = ("text", "sentence")
PAIR_NAMES = ("text2", "sentence2")


class Config(TextData):
    """Which files, and what their fields are called."""

    dataset: str = Field(
        "sst2", pattern=r"^[\w.-]+$", description="NAME of the files NAME_train, NAME_test, or a folder"
    )
    text: str | None = Field(None, description="field of the text; null: text, sentence, or sentence1 of a pair")
    second: str | None = Field(
        None, description="field of a second text; null: text2 or sentence2 where they are there"
    )
    label: str = Field("label", description="field of the label")
    labels: tuple[str, ...] = Field(
        (), description="all labels in the order of their classes; empty: those of the training rows, sorted"
    )
    skip_faults: bool = Field(False, description="rows that cannot be read (empty texts, broken lines) are left out")
    rows: int = Field(2000, ge=40, le=200_000, description="stand-in: rows, of which three in ten are the test")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[TextInfo]:
    """The files under ``root``, or toy_sentiment. Raises DataError for what is missing or wrong in them."""
    if root is None:
        shared = {name: getattr(config, name) for name in (*TextData.model_fields, "rows")}
        return toy_sentiment.load(toy_sentiment.Config(**shared), None, progress)
    faults: list[str] = []
    records = {split: labelled_texts.read(path, faults) for split, path in _files(config, root).items()}
    fields = _fields(config, root, records["train"])
    read = {split: _rows(config, rows, fields, faults) for split, rows in records.items()}
    if "test" not in read:
        read["test"] = read.pop("valid")
    if not config.skip_faults:
        refuse(str(root), [f"{fault} (data.options.skip_faults=true leaves such rows out)" for fault in faults])
    names = config.labels or _sorted({label for _, _, label in read["train"]})
    examples = {split: _numbered(str(root), rows, names) for split, rows in read.items()}
    inputs = SentenceInputs(columns=("first", "second")[: len(fields)], names=fields)
    return finish(config, examples, Facts(names, ("first", "second")[: len(fields)], inputs=inputs))


def _files(config: Config, root: Path) -> dict[str, Path]:
    """The files by split, with a test or, without labels there, validation file in its place."""
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder with {config.dataset}_train.txt")
    found: dict[str, Path] = {}
    for split, stems in STEMS.items():
        prefixed = [f"{config.dataset}_{stem}" for stem in stems]
        path = labelled_texts.find([root], prefixed) or labelled_texts.find([root / config.dataset, root], stems)
        if path is not None:
            found[split] = path
    if "test" in found and "valid" in found and not _labelled(config, found["test"]):
        del found["test"]
    if "train" not in found or not {"test", "valid"} & found.keys():
        missing = "train" if "train" not in found else "test"
        there = sorted({p.name.split("_train")[0] for p in root.iterdir() if "_train." in p.name})
        hint = f" (data.options.dataset: there are {', '.join(there)})" if there else ""
        raise DataError(
            f"{root}: no {config.dataset}_{missing} or {config.dataset}/{missing} with "
            f"{', '.join(labelled_texts.SUFFIXES)} (or .gz){hint}"
        )
    return found


def _labelled(config: Config, path: Path) -> bool:
    """Whether the first row has a label; a file that cannot be read is one that is named later."""
    try:
        rows = labelled_texts.read(path, [])
    except DataError:
        return True
    return not rows or rows[0][1].get(config.label) not in (None, "")


def _fields(config: Config, root: Path, records: Sequence[Record]) -> tuple[str, ...]:
    """Names of the text fields. Raises DataError where there is none."""
    if not records:
        raise DataError(f"{root}: there is no training row")
    there = [str(name) for name in records[0][1]]
    second = config.second or next((name for name in PAIR_NAMES if name in there), None)
    names = (*TEXT_NAMES, "sentence1", "text1") if second else TEXT_NAMES
    first = config.text or next((name for name in names if name in there), None)
    absent = [name for name in (first, second if config.second else None) if name is not None and name not in there]
    if first is None or absent:
        what = f"no field {', '.join(absent)}" if absent else "no text"
        raise DataError(
            f"{records[0][0]}: {what} (there are: {', '.join(there)}): data.options.text and second name the fields"
        )
    return (first, second) if second else (first,)


def _rows(
    config: Config, records: Sequence[Record], fields: Sequence[str], faults: list[str]
) -> list[tuple[str, tuple[str, ...], str]]:
    """(place, texts, label) of the rows that are whole."""
    rows = []
    for record in records:
        before = len(faults)
        texts = tuple(labelled_texts.text_of(record, field, faults) for field in fields)
        label = labelled_texts.label_of(record, config.label, faults)
        if len(faults) == before:
            rows.append((record[0], texts, label))
    return rows


def _sorted(labels: set[str]) -> list[str]:
    """Numbers by value, else words by letters."""
    if all(label.lstrip("-").isdecimal() for label in labels):
        return sorted(labels, key=int)
    return sorted(labels)


def _numbered(root: str, rows: Sequence[tuple[str, tuple[str, ...], str]], names: Sequence[str]) -> list[Example]:
    number = {name: k for k, name in enumerate(names)}
    known = ", ".join(list(names)[:10])
    refuse(
        root,
        [
            f"{where}: the label '{label[:40]}' is none of {known}: data.options.labels lists all of them"
            for where, _, label in rows
            if label not in number
        ],
    )
    return [Example(texts, number[label]) for _, texts, label in rows]
