"""Recordings of one's own by a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from holdfast.datasets.coconut import manifest as coconut_manifest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.spoken.recordings import Sentence

from .. import trees

SLURP, MANIFEST = coconut_slurp.Config(), coconut_manifest.Config()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_manifest_intact(kind: str, tmp_path: Path) -> None:
    root = trees.manifest(tmp_path, kind)
    rows, faults = coconut_manifest.read(MANIFEST, root)
    assert faults == []
    by_split = {split: {r.speaker for r in rows if r.split == split} for split in ("train", "valid", "test")}
    assert not by_split["train"] & by_split["test"], "no speaker in two splits"
    source = coconut_manifest.load(MANIFEST, root)
    assert source.class_names == ["one", "three", "two"]
    assert source.info.annotations["test"][0].entities[0][0] == "digit"
    assert coconut_manifest.load(MANIFEST, root / f"manifest.{kind}").checksum == source.checksum
    assert source.random_split


def _texts(rows: list[Sentence], split: str) -> set[str]:
    return {row.words for row in rows if row.split == split}


def test_manifest_without_speakers_is_split_by_text(tmp_path: Path) -> None:
    """Ten sentences lay in train and in test: the recordings of a sentence stay together."""
    root = trees.manifest(tmp_path, "jsonl", per_intent=24)
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    for k, line in enumerate(lines):
        del line["speaker"]
        line["transcription"] = f"{line['transcription']} take {k % 8}"
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows, _ = coconut_manifest.read(MANIFEST, root)
    train, valid, test = (_texts(rows, split) for split in ("train", "valid", "test"))
    assert train
    assert not train & valid | train & test | valid & test
    assert {row.intent for row in rows if row.split == "test"} == {"one", "two", "three"}
    assert coconut_manifest.check(MANIFEST, root)["sentences_in_train_and_test"] == 0
    at_random, _ = coconut_manifest.read(MANIFEST.model_copy(update={"group_by": "none"}), root)
    assert _texts(at_random, "train") & _texts(at_random, "test")
    with pytest.raises(DataError, match="group_by: speaker needs a speaker in every row"):
        coconut_manifest.read(MANIFEST.model_copy(update={"group_by": "speaker"}), root)


def test_manifest_of_one_sentence_an_intent_still_has_all_splits(tmp_path: Path) -> None:
    root = trees.manifest(tmp_path, "jsonl")
    rows, _ = coconut_manifest.read(MANIFEST.model_copy(update={"group_by": "text"}), root)
    for split in ("train", "valid", "test"):
        assert {row.intent for row in rows if row.split == split} == {"one", "two", "three"}


def test_a_gold_filler_keeps_its_punctuation_and_the_target_does_not(tmp_path: Path) -> None:
    """SLURP's tool compares fillers as they are annotated; the model learns words."""
    from holdfast.analysis.problems.speech import SpeechUnderstanding
    from holdfast.methods.networks import slu

    root = trees.manifest(tmp_path, "jsonl")
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        line["entities"] = [{"type": "money", "filler": "U.S.D."}]
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = slu.prepare(slu.Config(), coconut_manifest.load(MANIFEST, root))
    target = source.info.prepared.targets["test"][0]
    assert "_FILL u s d _SEP" in target
    problem = SpeechUnderstanding(source)
    said = torch.tensor(problem.tokenizer.encode(target)[1:])
    scores = problem.measure({"tokens": said[None].numpy()}, np.array([0]), "test").compute()
    assert scores["accuracy"] == 1
    # words: 3 edits over 1 gold word; letters: 3 of 6. TP 2, FP = FN = 3.5
    assert scores["slu_f1"] == pytest.approx(2 * 2 / (2 * 2 + 3.5 + 3.5))


def test_manifest_with_splits_and_scenarios(tmp_path: Path) -> None:
    root = trees.manifest(tmp_path, "jsonl")
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    for k, line in enumerate(lines):
        line |= {"split": ("train", "train", "dev", "test")[k % 4], "scenario": "numbers"}
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = coconut_manifest.load(MANIFEST.model_copy(update={"split_by": "scenario"}), root)
    assert source.class_names == ["numbers"]
    assert not source.random_split
    assert source.info.intents == ("numbers_one", "numbers_three", "numbers_two")
    lines[0]["split"] = ""
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="some rows name a split and some do not"):
        coconut_manifest.load(MANIFEST, root)
    lines[0]["split"] = "holdout"
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="unknown split 'holdout'"):
        coconut_manifest.load(MANIFEST, root)
