"""Files of texts to classify as rows like those of training."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from holdfast.datasets.core import texts
from holdfast.datasets.core.inputs import Inputs, SentenceInputs, TaskInputs
from holdfast.datasets.peft.superglue import FORMS
from holdfast.datasets.readers import given

ONE = SentenceInputs()


def rows(inputs: Inputs, *files: Path) -> list[given.Row]:
    return list(given.read(inputs, {}, files))


def test_a_text_a_line_with_or_without_a_label(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a great film\n\n1\tdull\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("schön\n".encode()))
    found = rows(ONE, tmp_path / "a.txt", tmp_path / "b.txt.gz")
    assert [row.line for row in found] == [1, 3, 1]
    table = given.stacked(found)
    assert texts.unpacked(table.columns["first"]) == ["a great film", "dull", "schön"]
    assert table.dense("altered").tolist() == [0] * 3
    assert table.dense("source_id").tolist() == [-1] * 3


def test_named_fields_and_rows_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,good\n2,\n3,x,y\n4,bad\n")
    found = rows(ONE, tmp_path / "a.csv")
    assert [(row.line, bool(row.error)) for row in found] == [(2, False), (3, True), (4, True), (5, False)]
    assert "the text 'text' is empty" in found[1].error
    (tmp_path / "b.csv").write_text("id,words\n1,good\n")
    assert "no field text (there are: id, words)" in rows(ONE, tmp_path / "b.csv")[0].error
    assert "no such file" in rows(ONE, tmp_path / "c.csv")[0].error
    assert (
        "files that end in" in rows(ONE, tmp_path / "d.pdf")[0].error
        or "no such file" in rows(ONE, tmp_path / "d.pdf")[0].error
    )


def test_fields_of_the_tasks_of_superglue(tmp_path: Path) -> None:
    copa, wic = ({"columns": FORMS[t].columns, "names": FORMS[t].names, "form": FORMS[t].form} for t in ("copa", "wic"))
    lines = [
        {"premise": "It rained.", "choice1": "wet", "choice2": "dry", "question": "cause"},
        {"premise": "It rained.", "choice1": "wet", "choice2": "dry"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{\n")
    found = rows(SentenceInputs(**copa), tmp_path / "a.jsonl")  # type: ignore[arg-type]
    assert [texts.unpacked(given.stacked(found[:1]).columns[c]) for c in ("first", "second", "third")] == [
        ["It rained. because"],
        ["wet"],
        ["dry"],
    ]
    assert "neither cause nor effect" in found[1].error
    assert (found[2].line, "no JSON" in found[2].error) == (3, True)
    (tmp_path / "b.csv").write_text("word,sentence1,sentence2\nbank,A bank.,The bank.\n")
    table = given.stacked(rows(SentenceInputs(**wic), tmp_path / "b.csv"))  # type: ignore[arg-type]
    assert texts.unpacked(table.columns["second"]) == ["bank: The bank."]


def test_a_row_of_a_sequence_of_tasks_names_its_task(tmp_path: Path) -> None:
    pair = SentenceInputs(columns=("first", "second"), names=FORMS["rte"].names)
    tasks = TaskInputs(tasks=("sst2", "rte"), each=(ONE, pair), columns=("first", "second"))
    lines = [
        {"task": "rte", "premise": "It rained.", "hypothesis": "It was wet."},
        {"task": "sst2", "text": "a great film"},
        {"task": "cola", "text": "a great film"},
        {"task": "rte", "text": "a great film"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = rows(tasks, tmp_path / "a.jsonl")
    table = given.stacked(found[:2])
    assert table.dense("task").tolist() == [1, 0]
    assert texts.unpacked(table.columns["first"]) == ["It rained.", "a great film"]
    assert texts.unpacked(table.columns["second"]) == ["It was wet.", ""]
    assert "the task 'cola' is none of sst2, rte" in found[2].error
    assert "premise" in found[3].error
    (tmp_path / "b.csv").write_text("text\ngood\n")
    assert "no field task, which names the task of a row: sst2, rte" in rows(tasks, tmp_path / "b.csv")[0].error
    (tmp_path / "c.txt").write_text("good\n")
    assert "files that end in .tsv, .csv" in rows(tasks, tmp_path / "c.txt")[0].error
