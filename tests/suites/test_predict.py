"""``suites predict`` and ``TrainedRun.predict``: what a run says of files is what it said of its own rows."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime.loading import TrainedRun
from PIL import Image

from .process import CommandLine


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def houses(out: Path) -> Path:
    """A table with a category and missing numbers; every fifth row is a test row."""
    draws = np.random.default_rng(0)
    lines = ["size,town,rooms,price,split"]
    for i in range(150):
        size, town = draws.uniform(40, 200), ("york", "bath")[i % 2]
        split = ("train", "train", "train", "valid", "test")[i % 5]
        price = size / 10 + 5 * (town == "bath") + draws.normal()
        lines.append(f"{'' if i % 7 == 0 else round(size, 1)},{town},{i % 6},{price:.2f},{split}")
    path = out / "houses.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table_run(out: Path, houses: Path) -> Path:
    options = {"target": "price", "split_column": "split", "missing": "median"}
    overrides = {f"data.options.{name}": value for name, value in options.items()}
    done = api.run("supremix_tabular", methods=["l1"], profile="smoke", data_root=houses, out=out, overrides=overrides)
    return done.folders[0]


@pytest.fixture(scope="module")
def image_run(out: Path) -> Path:
    return api.run("split_digits", methods=["er"], profile="smoke", out=out).folders[0]


@pytest.fixture(scope="module")
def digits(image_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's test images as files."""
    folder = tmp_path_factory.mktemp("digits")
    for k, image in enumerate(api.load_run(image_run).data.splits["test"].columns["image"]):  # type: ignore[arg-type]
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{k:03d}.png")
    return folder


def test_a_folder_of_the_test_images_has_the_accuracy_of_the_run(image_run: Path, digits: Path) -> None:
    run = api.load_run(image_run)
    labels: Any = run.data.splits["test"].columns["label"]
    documents: Any = api.load_run(image_run).predict([digits])
    assert [Path(document["file"]).name for document in documents] == [f"{k:03d}.png" for k in range(len(labels))]
    right = [document["class"] == str(label) for document, label in zip(documents, labels.tolist(), strict=True)]
    assert np.mean(right) == run.metrics["accuracy/last"]
    nll = [
        -math.log(next(top["probability"] for top in document["top"] if top["class"] == str(label)))
        for document, label in zip(api.predict(image_run, [digits], top=10), labels.tolist(), strict=True)
    ]
    assert np.mean(nll) == pytest.approx(run.metrics["nll/last"], rel=1e-6)
    for document in documents:
        shares = [top["probability"] for top in document["top"]]
        assert len(shares) == 5
        assert shares == sorted(shares, reverse=True)
        assert document["probability"] == shares[0]
        assert document["class"] == document["top"][0]["class"]


def test_a_prediction_of_a_file_needs_no_training_data(
    table_run: Path, image_run: Path, digits: Path, houses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: object) -> None:
        raise Fault.data("the data is gone", "data", "put it back")

    whole = list(api.predict(table_run, [houses]))
    monkeypatch.setattr("holdfast.suites.runtime.build.prepare", gone)
    assert len(list(api.predict(image_run, [digits / "000.png"]))) == 1
    alone = list(api.predict(table_run, [houses]))
    assert [row["value"] for row in alone] == [row["value"] for row in whole]
    assert all(row["interval"] is None for row in alone), "no interval without validation rows"
    with pytest.raises(Fault, match="gone"):
        api.predict(table_run, split="test")


def test_the_rows_of_a_table_have_the_error_of_the_run(table_run: Path, houses: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(houses.read_text().splitlines()))
    test = [row for row in rows if row["split"] == "test"]
    mine = tmp_path / "mine.csv"
    names = ["rooms", "town", "size"]
    mine.write_text("\n".join([",".join(names), *(",".join(row[name] for name in names) for row in test)]) + "\n")
    documents = list(api.predict(table_run, [mine], level=0.8))
    errors = [abs(one["value"] - float(row["price"])) for one, row in zip(documents, test, strict=True)]
    assert np.mean(errors) == pytest.approx(TrainedRun(table_run).metrics["mae/last"], rel=1e-5)
    assert {one["label"] for one in documents} == {"price"}
    assert [one["line"] for one in documents] == list(range(2, len(test) + 2))
    own = list(api.predict(table_run, split="test", level=0.8))
    assert [one["value"] for one in own] == pytest.approx([one["value"] for one in documents], rel=1e-6)
    assert [one["truth"] for one in own] == pytest.approx([float(row["price"]) for row in test])
    radius = {round(one["interval"]["high"] - one["value"], 9) for one in documents}
    valid = list(api.predict(table_run, split="valid", level=0.8))
    sizes = sorted(abs(one["value"] - one["truth"]) for one in valid)
    assert radius == {round(sizes[math.ceil(31 * 0.8) - 1], 9)}, "30 validation rows"


def test_a_level_that_the_validation_rows_are_too_few_for(table_run: Path, cli: CommandLine, out: Path) -> None:
    done = cli.here("predict", str(table_run), "--split", "test", "--level", "0.99", out=out)
    assert all(json.loads(line)["interval"] is None for line in done.stdout.splitlines())
    assert "30 validation rows are too few" in done.stderr


def test_formats_and_files(table_run: Path, image_run: Path, cli: CommandLine, out: Path, tmp_path: Path) -> None:
    done = cli.here("predict", str(table_run), "--split", "test", out=out)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == json.loads(json.dumps(list(api.predict(table_run, split="test"))))
    assert "split conformal at level 0.9 from the errors on 30 validation rows" in done.stderr
    file = tmp_path / "said.csv"
    cli.here("predict", str(table_run), "--split", "test", "--csv", "--out", str(file), out=out)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert list(rows[0]) == ["split", "row", "label", "value", "low", "high", "level", "truth"]
    assert [float(row["low"]) for row in rows] == [line["interval"]["low"] for line in lines]
    before = file.read_bytes()
    cli.here("predict", str(table_run), "--split", "valid", "--out", str(file), out=out, code=2)
    assert file.read_bytes() == before
    cli.here("predict", str(table_run), "--split", "valid", "--out", str(file), "--force", out=out)
    assert len(file.read_text().splitlines()) == 30
    shown = cli.here("predict", str(image_run), "--split", "test", "--top", "2", "--format", "csv", out=out).stdout
    assert next(csv.DictReader(io.StringIO(shown))).keys() == {
        *("split", "row", "class", "probability", "class_2", "probability_2", "truth")
    }


BAD: dict[str, tuple[Callable[[Path], list[str]], int, str]] = {
    "nothing is named": (lambda folder: [], 2, "nothing to predict"),
    "files and a split": (lambda folder: ["a.png", "--split", "test"], 2, "files and a split"),
    "no such split": (lambda folder: ["--split", "dev"], 2, "no split 'dev'"),
    "no level": (lambda folder: ["a.png", "--level", "1"], 2, "no level"),
    "no format": (lambda folder: ["a.png", "--format", "xml"], 2, "no such format"),
    "no class": (lambda folder: ["a.png", "--top", "0"], 2, "0 classes"),
    "--out is a folder": (lambda folder: ["a.png", "--out", str(folder)], 2, "this is a folder"),
    "an empty folder": (lambda folder: [str(folder / "empty")], 3, "holds no file"),
    "a corrupt image": (lambda folder: [str(folder / "broken.png")], 3, "no readable image"),
    "another kind of file": (lambda folder: [str(folder / "table.csv")], 3, "takes files that end in .png"),
    "no such file": (lambda folder: [str(folder / "absent.png")], 3, "no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_inputs_are_one_message(
    case: str, image_run: Path, cli: CommandLine, out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    arguments, code, message = BAD[case]
    cli.here("predict", str(image_run), *arguments(tmp_path), out=out, code=code)
    shown = capfd.readouterr().err
    assert message in shown
    assert shown.count("error: ") == 1


def test_what_is_wrong_with_a_table_is_said_row_by_row(
    table_run: Path, cli: CommandLine, out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("size,town,rooms\n80,york,2\n80,york,inf\n80,york,two\nnan,bath,2\n")
    shown = cli.here("predict", str(table_run), str(tmp_path / "rows.csv"), out=out, code=3).stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    assert ["error" in line for line in lines] == [False, True, True, False], "a missing number is the median"
    assert "2 of 4 inputs cannot be read" in capfd.readouterr().err
    (tmp_path / "less.csv").write_text("size,town\n80,york\n")
    cli.here("predict", str(table_run), str(tmp_path / "less.csv"), out=out, code=3)
    assert "no column rooms" in capfd.readouterr().err


def test_data_that_is_not_what_it_was(table_run: Path, houses: Path) -> None:
    before = houses.read_text()
    try:
        houses.write_text(before.replace(",york,2,", ",york,9,"))
        with pytest.raises(Fault, match="checksum differs"):
            api.predict(table_run, split="test")
    finally:
        houses.write_text(before)


def test_a_damaged_file_of_facts_is_a_fault(image_run: Path, digits: Path, tmp_path: Path) -> None:
    folder = tmp_path / image_run.parent.name
    shutil.copytree(image_run.parent, folder)
    run = folder / image_run.name
    (run / "data.json").write_text('{"kind": "ImageInfo", "info": {"classes": "many"}, "class_names": []}')
    with pytest.raises(Fault, match=r"data\.json is damaged"):
        api.predict(run, [digits])
    (run / "data.json").unlink()
    assert len(list(api.predict(run, [digits / "000.png"]))) == 1, "an older run: from the data itself"
