"""``suites data check`` of every suite, and ``suites data init``: a listing of one's own files, with splits."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from holdfast.suites.config import catalog
from PIL import Image

from .process import CommandLine

SPEAKERS = ("ann", "bo", "cy", "di", "ed")
SUITES = [row["name"] for row in catalog.recipes()]


def image(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def sound(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(number).uniform(-0.1, 0.1, 3200), 16000)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suite", SUITES)
def test_check_knows_every_suite(suite: str, tmp_path: Path, cli: CommandLine) -> None:
    document = cli.here("data", "check", suite, "--profile", "smoke", "--json", out=tmp_path).document
    assert document["source"] == ("real" if suite == "split_digits" else "stand-in"), "its digits come with a library"
    for split in ("train", "valid", "test"):
        part = document[split] if split in document else {"rows": document["utterances"][split]}
        assert part.get("rows") or part["utterances"]


def test_check_reads_a_table_and_asks_for_a_target_of_numbers(tmp_path: Path, cli: CommandLine) -> None:
    lines = ["width,height,kind", *(f"{n},{2 * n + 0.5},{'xy'[n % 2]}" for n in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    check = ("data", "check", "supremix_tabular", "--data-root", "t.csv")
    error = cli.here(*check, out=tmp_path, code=3).stderr
    assert "'kind' holds text ('x')" in error
    assert "data.options.target=height" in error
    assert "next:  suites data check supremix_tabular --data-root t.csv" in error
    document = cli.here(*check, "data.options.target=height", "--json", out=tmp_path).document
    assert document["train"]["columns"] == "label, x"
    assert sum(document[split]["rows"] for split in ("train", "valid", "test")) == 40


@pytest.mark.parametrize("valid", ["val", "valid", None])
def test_folders_of_classes_need_no_index(valid: str | None, tmp_path: Path, cli: CommandLine) -> None:
    for split, count in (("train", 12), ("test", 4), *([(valid, 3)] if valid else [])):
        for k, name in enumerate(("cat", "dog")):
            for n in range(count):
                image(tmp_path / "images" / split / name / f"{n}.png", n + 100 * k)
    root = ("--data-root", "images", "data.options.size=12")
    done = cli("data", "check", "cdvg_folder", *root, "--json", out=tmp_path)
    rows = {split: done.document[split]["rows"] for split in ("train", "valid", "test")}
    assert rows == ({"train": 24, "valid": 6, "test": 8} if valid else {"train": 22, "valid": 2, "test": 8})
    assert ("2 of 24 training images are drawn for it" in done.stderr) == (valid is None)


def test_images_without_a_bias_are_trained_on_by_what_needs_none(
    tmp_path: Path, empty_store: Path, cli: CommandLine
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    for n in range(40):
        image(tmp_path / "images" / f"{n}.png", n)
    lines = [
        "path,label,split",
        *(f"{n}.png,{'ab'[n % 2]},{('train', 'train', 'valid', 'test')[n // 2 % 4]}" for n in range(40)),
    ]
    (tmp_path / "images" / "index.csv").write_text("\n".join(lines))
    run = ("run", "cdvg_folder", "--profile", "smoke", "--data-root", "images", "data.options.size=8", "--json")
    (done,) = cli.here(*run, "--method", "erm", out=tmp_path).document["runs"]
    assert {"accuracy/last", "worst_group/last"} <= set(done["metrics"])
    assert not {"aligned/last", "conflict/last", "gap/last"} & set(done["metrics"])
    oracle = cli.here(*run, "--method", "biascon_oracle", "data.hidden_from_training=[]", out=tmp_path, code=2)
    assert "biascon_oracle needs the column 'bias'" in oracle.stderr


def test_init_splits_by_speaker_and_its_manifest_is_read(tmp_path: Path, cli: CommandLine) -> None:
    for k, speaker in enumerate(SPEAKERS):
        for word in ("yes", "no"):
            for n in range(3):
                sound(tmp_path / "clips" / f"{word}_{speaker}_{n}.wav", k * 100 + n + len(word) * 10)
    done = cli.here("data", "init", "clips", "--pattern", "{intent}_{speaker}_*", "--json", out=tmp_path).document
    assert (done["suite"], done["grouped"], done["groups"]) == ("coconut_manifest", True, 5)
    assert done["warnings"] == []
    rows = rows_of(tmp_path / "clips" / "manifest.csv")
    assert {row["intent"] for row in rows} == {"yes", "no"}
    splits = {
        speaker: {r["split"] for r in rows if r["speaker"] == speaker} for speaker in ("ann", "bo", "cy", "di", "ed")
    }
    assert all(len(one) == 1 for one in splits.values())
    assert set.union(*splits.values()) == {"train", "valid", "test"}
    checked = cli.here("data", "check", "coconut_manifest", "--data-root", "clips", "--json", out=tmp_path).document
    assert checked["speakers_in_train_and_test"] == 0
    assert sum(checked[split]["utterances"] for split in ("train", "valid", "test")) == 30
    again = cli.here("data", "init", "clips", "--pattern", "{intent}_{speaker}_*", out=tmp_path, code=2)
    assert "--force" in again.stderr


def test_init_of_images_warns_of_a_file_in_two_splits(tmp_path: Path, cli: CommandLine) -> None:
    for name in ("a", "b"):
        for n in range(12):
            image(tmp_path / "flat" / name / f"{n}.png", n % 3)  # the same three images again and again
    done = cli.here("data", "init", "flat", out=tmp_path, COLUMNS="80")
    assert "the same file lies in two splits, 3 times; the first: a/0.png" in done.stderr
    commands = [line.partition("suites ")[2].split() for line in done.stdout.splitlines() if "suites " in line]
    assert len(commands) == 2
    assert cli.here(*commands[0], "--json", out=tmp_path).document["test"]["rows"] == 4
    assert {row["split"] for row in rows_of(tmp_path / "flat" / "index.csv")} == {"train", "valid", "test"}


def test_init_warns_of_a_text_in_two_splits_and_takes_a_table_of_facts(tmp_path: Path, cli: CommandLine) -> None:
    lines = ["path,intent,transcription,speaker"]
    for n in range(12):
        sound(tmp_path / "clips" / f"{n}.wav", n)
        lines.append(f"{n}.wav,{'ab'[n % 2]},turn it on,s{n % 4}")
    (tmp_path / "clips" / "metadata.csv").write_text("\n".join(lines))
    done = cli.here("data", "init", "clips", "--json", out=tmp_path)
    assert "the same text lies in two splits, 1 times" in done.stderr
    assert done.document["grouped"]
    assert {row["transcription"] for row in rows_of(tmp_path / "clips" / "manifest.csv")} == {"turn it on"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "no such folder"),
        (["empty"], "no recording (.wav"),
        (["flat"], "neither a folder nor a column label of metadata.csv says its class"),
        (["flat", "--pattern", "{speaker}_*"], "no {label} in it"),
        (["flat", "--pattern", "{label}_{lable}"], "{lable} is no part"),
        (["flat", "--pattern", "{label}_x"], "0.png: not of the form of --pattern"),
    ],
)
def test_init_says_what_it_cannot_read(arguments: list[str], message: str, tmp_path: Path, cli: CommandLine) -> None:
    (tmp_path / "empty").mkdir()
    image(tmp_path / "flat" / "0.png", 0)
    assert message in cli.here("data", "init", *arguments, out=tmp_path, code=3).stderr
    assert not list(tmp_path.rglob("index.csv"))
