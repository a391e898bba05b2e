"""SLURP in its released layout, intact."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.table import Ragged

from .. import trees

SLURP = coconut_slurp.Config()


def test_slurp_intact(made: dict[str, Path]) -> None:
    source = coconut_slurp.load(SLURP, made["slurp"])
    assert source.source == "real"
    assert source.class_names == sorted(trees.SCENARIOS)
    assert {split: len(table) for split, table in source.splits.items()} == {
        "train": 8 * 3 * 2 + 8,
        "valid": 16,
        "test": 32,
    }
    text = source.info.annotations["train"][2]
    assert text.entities == (("time", "at1 o'clock"),), "fillers are lower-cased surfaces; apostrophes stay"
    assert f"{text.scenario}_{text.action}" in source.info.intents, "not the field 'intent'"
    features = source.splits["train"].columns["features"]
    assert isinstance(features, Ragged)
    assert features.values.shape[1] == 40
    found = coconut_slurp.check(SLURP, made["slurp"])
    assert found["faults"] == []
    assert found["train"]["utterances"] == 56
    assert found["test"]["hours"] > 0


def test_slurp_options(made: dict[str, Path]) -> None:
    real = coconut_slurp.load(SLURP.model_copy(update={"synthetic": False, "recordings": "headset"}), made["slurp"])
    assert len(real.splits["train"]) == 24
    waves = coconut_slurp.load(SLURP.model_copy(update={"features": "waveform", "recordings": "one"}), made["slurp"])
    features = waves.splits["train"].columns["features"]
    assert isinstance(features, Ragged)
    assert str(features.values.dtype) == "torch.int16"
    assert features.lengths.tolist()[0] == 6400
    with pytest.raises(DataError, match="no row in the split 'train'"):
        coconut_slurp.load(SLURP.model_copy(update={"max_seconds": 0.1}), made["slurp"])
    rows, _ = coconut_slurp.released(SLURP.model_copy(update={"limit": 2}), made["slurp"])
    assert len({row.words for row in rows if row.split == "train"}) == 2


def test_slurp_sentences_spoken_without_audio(made: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(made["slurp"] / "dataset", tmp_path / "dataset")
    source = coconut_slurp.load(SLURP.model_copy(update={"audio": "spoken"}), tmp_path)
    assert source.source == "real-text-spoken"
    assert len(source.splits["train"]) == 24
    features = source.splits["test"].columns["features"]
    assert isinstance(features, Ragged)
    assert features.lengths.min() > 50
