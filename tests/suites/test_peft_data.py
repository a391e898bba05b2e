"""Texts of one's own that are wrong, through the command line: a message and exit code 2 or 3, never a traceback; and
labels, predictions and sources of a small run.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from holdfast.datasets.core import texts
from holdfast.suites.config import catalog
from holdfast.suites.runtime import build

from .process import CommandLine

LINES = [f"{('bad', 'good')[k % 2]}\tthe film number {k} is {('dull', 'great')[k % 2]}" for k in range(40)]


def write(folder: Path, train: list[str], test: list[str]) -> Path:
    (folder / "own_train.txt").write_text("\n".join(train))
    (folder / "own_test.txt").write_text("\n".join(test))
    return folder


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([*LINES, "good\t "], LINES[:1], "own_train.txt line 41: the text 'text' is empty"),
        ([*LINES, "good"], LINES[:1], "own_train.txt line 41: no tab between label and text"),
        (LINES[1::2], ["good\tx"], "training rows are of one class (good): a classifier needs two"),
        (LINES, ["ugly\tx"], "own_test.txt line 1: the label 'ugly' is none of bad, good"),
        (LINES, [" "], "own_test.txt: the file is empty"),
        (LINES, ["good\tx"], "data.options.shots=64 leaves none of the 40 training rows for validation: lower it"),
    ],
)
def test_wrong_files_are_data_faults(
    train: list[str], test: list[str], message: str, tmp_path: Path, cli: CommandLine, capfd: pytest.CaptureFixture[str]
) -> None:
    root = write(tmp_path, train, test)
    check = ("data", "check", "peft_text", "--data-root", str(root), "data.options.dataset=own")
    cli.here(*check, out=tmp_path, code=3)
    said = capfd.readouterr().err
    assert message in said
    assert "next:  suites data check peft_text" in said


@pytest.mark.parametrize(
    ("override", "message", "code"),
    [
        ("data.options.shots=1", "greater than or equal to 2", 2),
        ("data.options.datset=own", "dataset", 2),
        ("data.transforms=[{name: eda, options: {copies: 2.5}}]", "a whole number, or one below 1", 2),
        ("data.transforms=[{name: eda, options: {synonyms: file, synonyms_file: absent.txt}}]", "absent.txt", 3),
        (
            "data.transforms=[{name: back_translation, options: {provider: file, file: absent.jsonl}}]",
            "absent.jsonl",
            3,
        ),
        (
            "data.transforms=[{name: back_translation, options: {provider: hf_seq2seq, forward: a, backward: b}}]",
            "a: no folder of a translation model",
            3,
        ),
        ("data.transforms=[{name: eda, options: {fields: second}}]", "these rows have one text each", 3),
    ],
)
def test_wrong_settings(
    override: str, message: str, code: int, tmp_path: Path, cli: CommandLine, capfd: pytest.CaptureFixture[str]
) -> None:
    cli.here("run", "peft_text", "--profile", "smoke", "--method", "head", override, out=tmp_path, code=code)
    assert message in capfd.readouterr().err
    assert not list(tmp_path.glob("peft_text-*"))


def test_no_text_of_another_split_is_altered_into_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two transforms one after the other, on files that hold a test sentence among those of training too."""
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    test = [f"good\tsentence {word} of the test" for word in ("one", "two")]
    root = write(tmp_path, [*LINES, *(line.replace("of", " OF ") for line in test)], test)
    overrides = [
        "data.options={dataset: own, shots: 20}",
        "data.transforms=[{name: eda, options: {copies: 2}}, {name: back_translation}]",
    ]
    recipe = catalog.recipe("peft_text", "smoke", [f"data.root={root}", *overrides])
    with pytest.warns(UserWarning, match="no back translation"):
        source = build.prepare(recipe)
    train, others = source.splits["train"], [source.splits[name] for name in ("valid", "test")]
    assert len(train) == 20 * 4
    assert train.dense("altered").bincount().tolist() == [20, 40, 0, 20]
    evaluated = {number for table in others for number in table.dense("source_id").tolist()}
    assert not evaluated & set(train.dense("source_id").tolist())
    assert not [text for text in texts.unpacked(train.columns["first"]) if "test" in text.lower()]
    ids, labels = train.dense("source_id").tolist(), train.dense("label").tolist()
    original = dict(zip(ids[:20], labels[:20], strict=True))
    assert [original[number] for number in ids] == labels
    altered = source.splits["eda_30"]
    assert set(altered.dense("source_id").tolist()) == set(others[1].dense("source_id").tolist())


def test_a_run_on_texts_of_ones_own_and_its_predictions(tmp_path: Path, empty_store: Path, cli: CommandLine) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    root = write(tmp_path, LINES, ["bad\tsomething dull", "good\ta great thing"])
    options = ["data.options.dataset=own", "data.options.shots=8", "train.epochs=1", "model.options.layers=true"]
    sets = "evaluate.sets.trained={split: train}"
    run = ("run", "peft_text", "--profile", "smoke", "--method", "head_eda", "--data-root", str(root), *options, sets)
    cli.here(*run, out=tmp_path)
    (folder,) = tmp_path.glob("peft_text-*/head_eda-s0")
    summary = json.loads((folder / "summary.json").read_text())
    assert {"macro_f1/last", "robustness/last", "eda_30/accuracy/last", "trained/layer/0/shift/last"} <= summary.keys()
    assert 0 <= summary["trained/unaltered/last"] < 1
    (tmp_path / "new.txt").write_text("a great film\n\nwhat a dull plot\n")
    predicted = cli.here("predict", str(folder), str(tmp_path / "new.txt"), out=tmp_path)
    rows = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert [row["line"] for row in rows] == [1, 3]
    assert all(row["class"] in ("bad", "good") and 0 <= row["probability"] <= 1 for row in rows)
