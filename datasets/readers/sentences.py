"""Texts to classify from files of one's own: their fields by name, or a text a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.errors import DataError
from ..core.inputs import SentenceInputs, TaskInputs
from . import labelled_texts
from .files import read_text
from .labelled_texts import Record, text_of

SUFFIXES = (".txt", ".tsv", ".csv", ".jsonl", ".gz")
TASK_SUFFIXES = SUFFIXES[1:]  # a text a line has no field that names its task
TASK = "task"
CONNECTIVES: Mapping[str, str] = {"cause": "because", "effect": "so"}  # of COPA, by the field "question"


def sentences(inputs: SentenceInputs, file: Path) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """Line, texts and fault of every row; a row with a fault has no texts. Raises DataError for a file that cannot be
    read, or has no field of that name.

    A ``.txt`` file holds a text a line, with or without a label and a tab before it, where the run takes single texts.
    """
    name = file.name.removesuffix(".gz")
    if len(inputs.names) == 1 and name.endswith(".txt"):
        yield from _lines(file)
        return
    faults: list[str] = []
    records = labelled_texts.read(file, faults)
    if records and not set(records[0][1]) & {*inputs.names, "sentence1"}:
        there = ", ".join(map(str, list(records[0][1])[:10]))
        raise DataError(f"{file}: no field {', '.join(inputs.names)} (there are: {there})")
    rows: list[tuple[int, tuple[str, ...], str]] = [(_line(fault.split(":")[0]), (), fault) for fault in faults]
    rows += [(_line(record[0]), *_texts(record, inputs)) for record in records]
    yield from sorted(rows, key=lambda row: row[0])


def of_tasks(inputs: TaskInputs, file: Path) -> Iterator[tuple[int, int, tuple[str, ...], str]]:
    """Line, number of the task, its texts and fault of every row; a row with a fault has no texts. Raises DataError for
    a file that cannot be read, or has no field ``task``.
    """
    faults: list[str] = []
    records = labelled_texts.read(file, faults)
    known = ", ".join(inputs.tasks)
    if records and TASK not in records[0][1]:
        there = ", ".join(map(str, list(records[0][1])[:10]))
        raise DataError(f"{file}: no field {TASK}, which names the task of a row: {known} (there are: {there})")
    rows: list[tuple[int, int, tuple[str, ...], str]] = [(_line(f.split(":")[0]), 0, (), f) for f in faults]
    for record in records:
        where, named = _line(record[0]), str(record[1].get(TASK)).strip()
        if named in inputs.tasks:
            task = inputs.tasks.index(named)
            rows.append((where, task, *_texts(record, inputs.each[task])))
        else:
            rows.append((where, 0, (), f"{record[0]}: the task '{named[:40]}' is none of {known}"))
    yield from sorted(rows, key=lambda row: row[0])


def _texts(record: Record, inputs: SentenceInputs) -> tuple[tuple[str, ...], str]:
    """The texts of a row, or none and what is wrong with it."""
    wrong: list[str] = []
    texts = texts_of(record, inputs.names, inputs.form, wrong)
    return () if wrong else texts, "; ".join(wrong)


def _line(where: str) -> int:
    return int(where.rpartition(" ")[2])


def _lines(file: Path) -> Iterator[tuple[int, tuple[str, ...], str]]:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        wrong: list[str] = []
        text = text_of((f"{file.name} line {number}", {"text": line.rpartition("\t")[2]}), "text", wrong)
        yield number, () if wrong else (text,), "; ".join(wrong)


def texts_of(record: Record, names: tuple[str, ...], form: str, faults: list[str]) -> tuple[str, ...]:
    """The texts of a row: its fields; of COPA the premise with "because" or "so" behind it; of WiC both sentences
    behind the word. GLUE's ``sentence1`` and ``sentence2`` are premise and hypothesis. What is missing becomes lines of
    ``faults``.
    """
    where, fields = record
    if "premise" in names and "premise" not in fields and {"sentence1", "sentence2"} <= fields.keys():
        record = (where, {**fields, "premise": fields["sentence1"], "hypothesis": fields["sentence2"]})
    texts = tuple(text_of(record, name, faults) for name in names)
    if form == "because":
        connective = CONNECTIVES.get(str(fields.get("question")))
        if connective is None:
            faults.append(f"{where}: the field 'question' is neither cause nor effect")
        return (f"{texts[0]} {connective}", *texts[1:])
    if form == "word":
        word = text_of(record, "word", faults)
        return tuple(f"{word}: {text}" for text in texts)
    return texts
