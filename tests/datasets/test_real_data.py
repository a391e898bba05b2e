"""Readers on real data beside the checkout; skipped where there is none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from holdfast.analysis.metrics.regression import Shots
from holdfast.datasets.coconut import manifest as coconut_manifest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.continual import cifar10, mnist
from holdfast.datasets.core.source import ShotBins
from holdfast.datasets.core.transcript import clean_words
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.datasets.transforms import synonyms

spec = importlib.util.spec_from_file_location("shared_data", Path(__file__).with_name("shared.py"))
assert spec is not None
assert spec.loader is not None
shared: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
DATA = shared.data_root()
pytestmark = pytest.mark.skipif(DATA is None, reason="no shared data beside the checkout")


def test_slurp_annotations_have_the_released_sizes(tmp_path: Path) -> None:
    """Devel 2 033 sentences and 8 690 recordings, test 2 974 and 13 078; 18 scenarios, 59 test intents."""
    root = shared.slurp(DATA, tmp_path)
    rows, faults = coconut_slurp.released(coconut_slurp.Config(audio="spoken"), root)
    assert faults == []
    counts = {split: sum(row.split == split for row in rows) for split in ("train", "valid", "test")}
    assert counts == {"train": 11_514, "valid": 2_033, "test": 2_974}
    test = [row for row in rows if row.split == "test"]
    assert len({row.scenario for row in test}) == 18
    assert len({row.intent for row in test}) == 59
    assert len({kind for row in test for kind, _ in row.entities}) == 53
    _, missing = coconut_slurp.released(coconut_slurp.Config(), root)
    assert len(missing) == 8_690 + 13_078, "one fault a recording that is not here"
    assert all("missing" in fault for fault in missing)


def test_recorded_digits_through_the_manifest(tmp_path: Path) -> None:
    root = shared.fsdd(DATA, tmp_path, takes=10)
    rows, faults = coconut_manifest.read(coconut_manifest.Config(), root)
    assert faults == []
    assert len(rows) == 10 * 6 * 10
    source = coconut_manifest.load(coconut_manifest.Config(limit=None), root)
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 400, "valid": 100, "test": 100}
    assert len(source.class_names) == 10
    assert coconut_manifest.check(coconut_manifest.Config(), root)["speakers_in_train_and_test"] == 0


def test_some_fillers_of_slurp_have_punctuation(tmp_path: Path) -> None:
    """Gold fillers are the tool's: 40 of 4,845 differ from the words of a target."""
    rows, _ = coconut_slurp.released(coconut_slurp.Config(audio="spoken"), shared.slurp(DATA, tmp_path))
    fillers = [filler for row in rows for _, filler in row.entities]
    assert (len(fillers), sum(filler != clean_words(filler) for filler in fillers)) == (4845, 40)


def test_shots_of_stsb_are_those_of_dir() -> None:
    """The counts of DIR's bins; division by float32(0.1) put 352 training and 55 test rows into another shot."""
    source = supremix_stsb.load(supremix_stsb.Config(), DATA / "stsb")
    columns: Any = {split: table.columns["label"] for split, table in source.splits.items()}
    label = {split: column.double().numpy() for split, column in columns.items()}
    shots = Shots.of(source.info.shots or ShotBins())
    counts = {}
    for split, y in label.items():
        found = shots.assign(y, label["train"])
        counts[split] = [int((found == shot).sum()) for shot in ("many", "medium", "few")]
    assert counts == {"train": [4510, 538, 201], "valid": [758, 177, 65], "test": [756, 170, 74]}


def test_mnist_has_the_released_classes() -> None:
    document = mnist.check(mnist.Config(size=8), DATA / "mnist")
    assert {split: document[split]["rows"] for split in ("train", "valid", "test")} == {
        "train": 55_000,
        "valid": 5_000,
        "test": 10_000,
    }
    counts = [document["train"]["by_class"][str(c)] + document["valid"]["by_class"][str(c)] for c in range(10)]
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_cifar10_through_its_binary_files(tmp_path: Path) -> None:
    root = shared.cifar10(DATA, tmp_path, rows=200)
    with pytest.warns(UserWarning, match="2 of CIFAR-10's 5 training batches"):
        source = cifar10.load(cifar10.Config(n_valid=100), root)
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 300, "valid": 100, "test": 200}
    _, expected = shared.cifar_part(DATA, "test_0")
    labels: Any = source.splits["test"].columns["label"]
    assert [int((labels == c).sum()) for c in range(10)] == [int((expected[:200] == c).sum()) for c in range(10)]


def test_the_synonym_table_of_open_english_wordnet() -> None:
    known = synonyms.provider("file", str(DATA / "synonyms" / "synsets.tsv.gz"))
    assert {"motion picture", "movie"} <= set(known("film"))
    assert "take a breath" in known("breathe")
