"""Files of classified texts: released layouts and one's own, and what is said of broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.texts import TextInfo
from holdfast.datasets.peft import superglue, tasks, text
from pydantic import ValidationError

LINES = [f"{k % 2}\tsentence number {k}" for k in range(40)]


def column(source: Source[TextInfo], split: str, field: str = "first") -> list[str]:
    return texts.unpacked(source.splits[split].columns[field])


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return folder


def test_label_and_sentence(tmp_path: Path) -> None:
    write(tmp_path, own_train__txt="\n".join(LINES), own_test__txt__gz="1\tlast one \n\n0\tanother")
    made = text.load(text.Config(dataset="own", shots=8), tmp_path)
    assert made.class_names == ("0", "1")
    assert column(made, "test") == ["last one", "another"]
    assert made.splits["test"].dense("label").tolist() == [1, 0]
    assert [len(made.splits[s]) for s in ("train", "valid")] == [8, 8]
    with pytest.raises(DataError, match=r"no sst2_train.*there are own"):
        text.load(text.Config(), tmp_path)


def test_sst2_as_glue_has_it(tmp_path: Path) -> None:
    """The test file has no labels, so that the development rows are the test; quotes are letters."""
    train = "sentence\tlabel\n" + "".join(f'it is "{k}\t{k % 2}\n' for k in range(20))
    write(
        tmp_path / "SST-2", train__tsv=train, dev__tsv="sentence\tlabel\nfine\t1\n", test__tsv="index\tsentence\n0\tx\n"
    )
    made = text.load(text.Config(dataset="SST-2"), tmp_path)
    assert column(made, "test") == ["fine"]
    assert len(made.splits["valid"]) == 2
    assert '"' in column(made, "train")[0]


def test_named_fields_of_csv_and_json_lines(tmp_path: Path) -> None:
    header = "kind,review,reply\n"
    rows = "".join(f'{"good" if k % 2 else "bad"},"line {k}\nnext, {k}",reply {k}\n' for k in range(20))
    write(tmp_path / "csv", train__csv=header + rows, test__csv=header + rows.replace("line", "word"))
    config = text.Config(dataset="csv", text="review", second="reply", label="kind", labels=("good", "bad"))
    made = text.load(config, tmp_path)
    assert made.class_names == ("good", "bad")
    assert made.info.fields == ("first", "second")
    assert column(made, "test")[0] == "word 0\nnext, 0"
    assert column(made, "test", "second")[0] == "reply 0"
    lines = "".join(json.dumps({"text": f"t {k}", "label": k % 3}) + "\n" for k in range(30))
    write(tmp_path / "json", train__jsonl=lines, test__jsonl=lines.replace("t ", "u "), valid__jsonl=lines)
    made = text.load(text.Config(dataset="json", overlap="keep"), tmp_path)
    assert (made.class_names, len(made.splits["valid"])) == (("0", "1", "2"), 30)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no tab", "line 41: no tab between label and text"),
        ("1\t  ", "line 41: the text 'text' is empty"),
        ("\twords", "line 41: no label in the field 'label'"),
        ("1\t" + "a" * 1_000_001, "more than 1000000"),
    ],
)
def test_lines_that_are_no_rows(tmp_path: Path, line: str, message: str) -> None:
    write(
        tmp_path,
        own_train__txt="\n".join([*LINES, line]),
        own_test__txt=LINES[0].replace("0", "x", 1).replace("x", "0"),
    )
    with pytest.raises(DataError, match=message):
        text.load(text.Config(dataset="own"), tmp_path)
    made = text.load(text.Config(dataset="own", skip_faults=True, overlap="keep"), tmp_path)
    assert len(made.splits["train"]) + len(made.splits["valid"]) == 40


def test_labels_outside_the_map_and_files_that_are_empty(tmp_path: Path) -> None:
    write(tmp_path, own_train__txt="\n".join(LINES), own_test__txt="7\tseven")
    with pytest.raises(DataError, match=r"own_test\.txt line 1: the label '7' is none of 0, 1"):
        text.load(text.Config(dataset="own"), tmp_path)
    write(tmp_path, own_test__txt=" \n")
    with pytest.raises(DataError, match="the file is empty"):
        text.load(text.Config(dataset="own"), tmp_path)
    write(tmp_path / "wide", train__csv="label,body\n0,x\n", test__csv="label,body\n0,x\n")
    with pytest.raises(DataError, match="there are: label, body"):
        text.load(text.Config(dataset="wide"), tmp_path)
    with pytest.raises(DataError, match="no folder"):
        text.load(text.Config(dataset="own"), tmp_path / "nowhere")


CB = {"premise": "It rains.", "hypothesis": "It is wet.", "label": "neutral", "idx": 3}
RELEASED = {
    "cb": (CB, {"first": "It rains.", "second": "It is wet."}, 2),
    "boolq": (
        {"question": "is it", "passage": "It is.", "label": True, "idx": 0},
        {"first": "is it", "second": "It is."},
        1,
    ),
    "copa": (
        {"premise": "It rained.", "choice1": "wet", "choice2": "dry", "question": "effect", "label": 0, "idx": 1},
        {"first": "It rained. so", "second": "wet", "third": "dry"},
        0,
    ),
    "wic": (
        {"word": "bank", "sentence1": "A bank.", "sentence2": "The bank.", "label": False, "idx": 0},
        {"first": "bank: A bank.", "second": "bank: The bank."},
        0,
    ),
}


def released(row: dict[str, object], others: list[object], n: int = 12) -> str:
    """JSON lines with labels in turn; texts differ by the row's number."""
    rows = []
    for k in range(n):
        new = {
            key: f"{value} {k}" if key in ("premise", "passage", "sentence1") else value for key, value in row.items()
        }
        rows.append(json.dumps({**new, "label": others[k % len(others)], "idx": k}))
    return "\n".join(rows)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_released_layouts_and_what_a_model_reads(name: str, tmp_path: Path) -> None:
    row, wanted, label = RELEASED[name]
    form = superglue.FORMS[name]
    others: dict[str, list[object]] = {"boolq": [True, False], "wic": [False, True], "copa": [0, 1]}
    labels = others.get(name, list(form.classes))
    folder = write(tmp_path / "zip" / form.folder, train__jsonl=released(row, labels), val__jsonl=json.dumps(row))
    made = superglue.load(superglue.Config(task=name), folder.parent)
    assert {field: column(made, "test", field)[0] for field in made.info.fields} == wanted
    assert made.splits["test"].dense("label").tolist() == [label]
    assert made.class_names == form.classes
    assert made.info.choices == (2 if name == "copa" else 0)
    flat = {f"{form.folder}_{stem}__jsonl__gz": released(row, labels) for stem in ("train", "dev32")}
    write(tmp_path / "flat", **flat, **{f"{form.folder}_val__jsonl__gz": json.dumps(row)})
    again = superglue.load(superglue.Config(task=name, overlap="keep"), tmp_path / "flat")
    assert [len(again.splits[split]) for split in ("train", "valid", "test")] == [12, 12, 1]


def test_rte_with_its_whole_training_set(tmp_path: Path) -> None:
    lines = "index\tsentence1\tsentence2\tlabel\n" + "".join(
        f'{k}\tp "{k}\th {k}\t{("entailment", "not_entailment")[k % 2]}\n' for k in range(30)
    )
    val = json.dumps({"premise": "p", "hypothesis": "h", "label": "entailment", "idx": 0})
    write(tmp_path, RTE_train_full__tsv__gz=lines, RTE_val__jsonl=val)
    made = superglue.load(superglue.Config(task="rte", full=True, shots=8), tmp_path)
    assert column(made, "train")[0].startswith('p "')
    with pytest.raises(DataError, match=r"no RTE/train\.jsonl"):
        superglue.load(superglue.Config(task="rte"), tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "val.jsonl line 2: no JSON"),
        ("[1]", "line 2: list, not an object"),
        ('{"premise": "a", "label": "neutral"}', "line 2: no field 'hypothesis'"),
        ('{"premise": 3, "hypothesis": "b", "label": "neutral"}', "line 2: 'premise' is int, not text"),
        ('{"premise": "a", "hypothesis": "b", "label": "maybe"}', "line 2: the label 'maybe' is none of entailment"),
        ('{"premise": "a", "hypothesis": "b"}', "line 2: no label in the field 'label'"),
        ("[" * 100_000, "line 2: no JSON"),
    ],
)
def test_broken_json_lines(tmp_path: Path, line: str, message: str) -> None:
    labels: list[object] = ["entailment", "contradiction", "neutral"]
    write(tmp_path / "CB", train__jsonl=released(CB, labels), val__jsonl=json.dumps(CB) + "\n" + line)
    with pytest.raises(DataError, match=message):
        superglue.load(superglue.Config(), tmp_path)
    assert len(superglue.load(superglue.Config(skip_faults=True), tmp_path).splits["test"]) == 1


def test_tasks_in_sequence(tmp_path: Path) -> None:
    write(tmp_path / "reviews", own_train__txt="\n".join(LINES), own_test__txt="1\tlast one")
    labels: list[object] = ["entailment", "contradiction", "neutral"]
    write(tmp_path / "glue" / "CB", train__jsonl=released(CB, labels, 30), val__jsonl=json.dumps(CB))
    config = tasks.Config(tasks=("own", "toy_topic", "cb"), shots=8, rows=100)
    made = tasks.load(config, tmp_path)
    assert made.info.tasks == config.tasks
    assert made.info.task_classes == ((0, 1), (2, 3, 4, 5), (6, 7, 8))
    assert made.class_names[6] == "cb/entailment"
    train = made.splits["train"]
    assert train.dense("task").tolist() == train.dense("experience").tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert column(made, "train", "second")[:16] == [""] * 16
    assert all(column(made, "train", "second")[16:])
    every = [table.dense("source_id") for table in made.splits.values()]
    assert len({number for ids in every for number in ids.tolist()}) == sum(map(len, every)), "unique over all splits"
    for k, classes in enumerate(made.info.task_classes):
        assert set(train.dense("label")[train.dense("task") == k].tolist()) == set(classes)
    assert made.source == "real and stand-in"


def test_tasks_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'own' has no stand-in"):
        tasks.load(tasks.Config(tasks=("own",)), None)
    with pytest.raises(DataError, match="no own_train and no folder own"):
        tasks.load(tasks.Config(tasks=("own",)), tmp_path)
    for wrong in (("cb", "cb"), ("copa",), ()):
        with pytest.raises(ValidationError):
            tasks.Config(tasks=wrong)
