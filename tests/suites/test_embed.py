"""``suites embed``: both representations of files are what the run predicts of its own rows; and a run of contrastive
analysis that was killed ends with the same numbers."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime.embed import documents
from PIL import Image

from .process import CommandLine

TINY = {"data.options.n_test": 20, "data.options.n_valid": 10, "data.options.n_train": 40, "train.epochs": 1}
CODES = ("common", "salient", "common_code", "salient_code")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("embed")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def run(out: Path) -> Path:
    done = api.run("sepclr_cifar_mnist", methods=["sepclr"], profile="smoke", out=out, overrides=TINY)
    return done.folders[0]


@pytest.fixture(scope="module")
def images(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first test images as files."""
    folder = tmp_path_factory.mktemp("images")
    column = api.load_run(run).data.splits["test"].columns["image"]
    assert isinstance(column, torch.Tensor)
    for k, image in enumerate(column[:5]):
        Image.fromarray(image[0].numpy()).save(folder / f"{k}.png")
    return folder


def test_codes_of_files_are_those_of_the_same_rows(run: Path, images: Path) -> None:
    """Without the run's data: what it keeps of it says how an image becomes a row."""
    rows = list(api.embed(run, split="test", rows=range(5)))
    files = list(api.embed(run, [images]))
    assert [Path(one["file"]).name for one in files] == [f"{k}.png" for k in range(5)]
    assert set(rows[0]) == {"split", "row", *CODES}
    for row, file in zip(rows, files, strict=True):
        for name in CODES:
            assert file[name] == pytest.approx(row[name], abs=1e-6)


def test_every_format_holds_the_same_numbers(
    run: Path, images: Path, out: Path, cli: CommandLine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in cli.here("embed", str(run), str(images), out=out).stdout.splitlines()]
    cli.here("embed", str(run), str(images), "--out", str(tmp_path / "codes.npz"), out=out)
    cli.here("embed", str(run), str(images), "--out", str(tmp_path / "codes.csv"), out=out)
    with np.load(tmp_path / "codes.npz", allow_pickle=False) as stored:
        assert stored["path"].tolist() == [line["file"] for line in lines]
        for name in CODES:
            assert stored[name].dtype == np.float32
            assert stored[name].tolist() == [line[name] for line in lines]
    rows = list(csv.DictReader((tmp_path / "codes.csv").read_text().splitlines()))
    assert [float(row["salient_2"]) for row in rows] == [line["salient"][2] for line in lines]
    (images / "broken.png").write_bytes(b"no image")
    again = tmp_path / "again.npz"
    cli.here("embed", str(run), str(images), "--out", str(again), out=out, code=3)
    (images / "broken.png").unlink()
    assert "broken.png: no readable image" in capfd.readouterr().err
    with np.load(again) as stored:
        assert len(stored["common"]) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to predict"),
        (["a.png", "--split", "test"], "files and a split"),
        (["a.png", "--format", "xml"], "no such format"),
        (["a.png", "--format", "npz"], "written to a file"),
        (["a.png", "--out", "."], "this is a folder"),
    ],
)
def test_wrong_inputs_are_one_message(
    arguments: list[str], said: str, run: Path, out: Path, cli: CommandLine, capfd: pytest.CaptureFixture[str]
) -> None:
    cli.here("embed", str(run), *arguments, out=out, code=2)
    assert said in capfd.readouterr().err


def test_a_run_of_another_problem_has_no_two_spaces(tmp_path: Path) -> None:
    other: Any = SimpleNamespace(recipe=SimpleNamespace(problem="classification"), folder=tmp_path)
    with pytest.raises(Fault, match="no common and salient representation") as error:
        documents(other, [], "test", None)
    assert error.value.exit_code == 2


def test_a_killed_run_ends_with_the_same_numbers(
    run: Path, empty_store: Path, cli: CommandLine, tmp_path: Path
) -> None:
    """Killed in the evaluation, while training rows are predicted: what is fitted on them is fitted anew."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    words = [f"{name}={value}" for name, value in TINY.items()]
    arguments = ["run", "sepclr_cifar_mnist", "--method", "sepclr", "--profile", "smoke", *words]
    cli(*arguments, out=tmp_path, kill_at="evaluation", code=-9)
    assert not list(tmp_path.rglob("summary.json"))
    cli.here("resume", "last", out=tmp_path)
    folder: Any = next(tmp_path.rglob("summary.json"))
    first, second = (json.loads(path.read_text()) for path in (run / "summary.json", folder))
    timed = [name for name in first if "seconds" in name]
    assert {k: v for k, v in first.items() if k not in timed} == {k: v for k, v in second.items() if k not in timed}
    assert first["separation/last"] > 0
    assert {p.name for p in (folder.parent / "plots").glob("*.png")} >= {"probes.png", "spaces.png"}
