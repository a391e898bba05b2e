"""Released layouts and a user's own folder: intact, and with every damage that is told by name."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from holdfast.datasets.coconut import fsc as coconut_fsc
from holdfast.datasets.coconut import manifest as coconut_manifest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.spoken.recordings import Sentence

spec = importlib.util.spec_from_file_location("trees", Path(__file__).with_name("trees.py"))
assert spec is not None
assert spec.loader is not None
trees: Any = importlib.util.module_from_spec(spec)
sys.modules["trees"] = trees
spec.loader.exec_module(trees)

SLURP, FSC, MANIFEST = coconut_slurp.Config(), coconut_fsc.Config(), coconut_manifest.Config()
ANNOTATIONS = "dataset/slurp/train.jsonl"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("trees")
    return {
        "slurp": trees.slurp(base / "slurp"),
        "fsc": trees.fsc(base / "fsc"),
        "manifest": trees.manifest(base / "manifest"),
    }


@pytest.fixture
def tree(made: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made[request.param], tmp_path / "tree"))


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


def _write(root: Path, path: str, edit: Callable[[str], str]) -> None:
    file = root / path
    file.write_text(edit(file.read_text()))


def _line(number: int, text: str) -> Callable[[str], str]:
    def edit(old: str) -> str:
        lines = old.splitlines()
        lines[number] = text
        return "\n".join(lines) + "\n"

    return edit


def _field(number: int, **values: Any) -> Callable[[str], str]:
    def edit(old: str) -> str:
        lines = old.splitlines()
        document = json.loads(lines[number])
        for name, value in values.items():
            if value is None:
                del document[name]
            else:
                document[name] = value
        lines[number] = json.dumps(document)
        return "\n".join(lines) + "\n"

    return edit


def _audio(root: Path, pattern: str = "audio/slurp_real/audio-train0-headset.flac") -> Path:
    return next(root.glob(pattern))


SLURP_DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing audio": (lambda r: _audio(r).unlink(), "audio-train0-headset.flac: missing"),
    "missing synthetic audio": (lambda r: _audio(r, "audio/slurp_synth/*.flac").unlink(), "audio-synth.*: missing"),
    "unreadable FLAC": (lambda r: _audio(r).write_bytes(b"fLaC no"), "audio-train0-headset.flac: unreadable"),
    "cut FLAC": (lambda r: _audio(r).write_bytes(_audio(r).read_bytes()[:20]), "audio-train0-headset.flac: unreadable"),
    "empty file": (lambda r: _audio(r).write_bytes(b""), "audio-train0-headset.flac: unreadable"),
    "wrong rate": (lambda r: trees.tone(_audio(r), 1, rate=8000), "8000 Hz, expected 16000"),
    "broken JSON": (lambda r: _write(r, ANNOTATIONS, _line(4, '{"slurp_id": 3,')), "train.jsonl line 5: broken JSON"),
    "no scenario": (lambda r: _write(r, ANNOTATIONS, _field(2, scenario=None)), "train.jsonl line 3: no field 'scenario'"),
    "empty sentence": (lambda r: _write(r, ANNOTATIONS, _field(2, sentence=" ")), "line 3: not in the released form: empty sentence"),
    "entity beyond the tokens": (
        lambda r: _write(r, ANNOTATIONS, _field(1, entities=[{"span": [99], "type": "time"}])), "line 2: not in the released form: an entity spans the token 99",
    ),
    "a list, no object": (lambda r: _write(r, ANNOTATIONS, _line(0, "[1, 2]")), "line 1: not in the released form: a line is an object of fields, not a list"),
    "no annotations": (lambda r: (r / ANNOTATIONS).unlink(), "train.jsonl is missing"),
    "not UTF-8": (lambda r: (r / ANNOTATIONS).write_bytes(b"\xff\xfe{}"), "train.jsonl: unreadable"),
}  # fmt: skip

FSC_TRAIN = "fluent_speech_commands_dataset/data/train_data.csv"
FSC_DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing wav": (lambda r: _audio(r, "**/train0/0.wav").unlink(), "0.wav: missing"),
    "unreadable wav": (lambda r: _audio(r, "**/train0/0.wav").write_bytes(b"RIFF"), "0.wav: unreadable"),
    "wrong rate": (lambda r: trees.tone(_audio(r, "**/train0/0.wav"), 1, rate=44100), "44100 Hz, expected 16000"),
    "no samples": (lambda r: soundfile.write(_audio(r, "**/train0/0.wav"), [], 16000), "0.wav: empty"),
    "missing csv": (lambda r: (r / FSC_TRAIN).unlink(), "train_data.csv: missing"),
    "missing column": (lambda r: _write(r, FSC_TRAIN, _line(0, ",path,speakerId,transcription,action,object")), "no column location"),
    "too few fields": (lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s")), "line 3: wrong number of fields"),
    "too many fields": (lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s,turn on, the light,a,b,c,d")), "line 3: wrong number of fields"),
    "empty action": (lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s,turn on,,lights,none")), "line 3: wrong number of fields or an empty one"),
    "empty transcription": (lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s,!!,bring,juice,none")), "line 3: empty transcription"),
}  # fmt: skip

MANIFEST_DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing file": (lambda r: (r / "clips/one_0.wav").unlink(), "line 2: .*one_0.wav: missing"),
    "unreadable file": (lambda r: (r / "clips/one_0.wav").write_text("no"), "one_0.wav: unreadable"),
    "no manifest": (lambda r: (r / "manifest.csv").unlink(), "no manifest.csv or manifest.jsonl"),
    "missing column": (lambda r: _write(r, "manifest.csv", _line(0, "path,transcription,label,speaker,entities")), "no column intent"),
    "empty intent": (lambda r: _write(r, "manifest.csv", _line(1, "clips/one_0.wav,number one,,s0,[]")), "line 2: no intent"),
    "broken entities": (lambda r: _write(r, "manifest.csv", _line(1, "clips/one_0.wav,number one,one,s0,[")), "line 2: entities"),
    "entities without type": (lambda r: _write(r, "manifest.csv", _line(1, 'clips/one_0.wav,number one,one,s0,"[{}]"')), "line 2: entities"),
    "listed twice": (lambda r: _write(r, "manifest.csv", _line(2, "clips/one_0.wav,number one,one,s0,[]")), "line 3: .*listed twice"),
    "too few fields": (lambda r: _write(r, "manifest.csv", _line(1, "clips/one_0.wav,number one")), "line 2: wrong number"),
    "not UTF-8": (lambda r: (r / "manifest.csv").write_bytes(b"\xff\xfepath"), "unreadable"),
}  # fmt: skip


def _cases(tree: str, damage: dict[str, Any]) -> list[Any]:
    return [pytest.param(tree, name, id=f"{tree}: {name}") for name in damage]


ALL = {
    "slurp": (coconut_slurp, SLURP, SLURP_DAMAGE),
    "fsc": (coconut_fsc, FSC, FSC_DAMAGE),
    "manifest": (coconut_manifest, MANIFEST, MANIFEST_DAMAGE),
}


@pytest.mark.parametrize(
    ("tree", "name"), [c for key, (_, _, damage) in ALL.items() for c in _cases(key, damage)], indirect=["tree"]
)
def test_damage_is_told_by_name(tree: Path, name: str, request: pytest.FixtureRequest) -> None:
    module, config, damage = ALL[request.node.callspec.params["tree"]]
    harm, message = damage[name]
    harm(tree)
    with pytest.raises(DataError, match=message):
        module.load(config, tree)


@pytest.mark.parametrize("tree", ["slurp", "fsc", "manifest"], indirect=True)
def test_faults_can_be_left_out(tree: Path, request: pytest.FixtureRequest) -> None:
    module, config, _ = ALL[request.node.callspec.params["tree"]]
    victim = next(p for p in sorted(tree.rglob("*")) if p.suffix in (".flac", ".wav"))
    victim.unlink()
    source = module.load(config.model_copy(update={"on_fault": "skip"}), tree)
    assert source.info.faults_skipped == 1
    assert len(module.check(config, tree)["faults"]) == 1


def test_fsc_intact(made: dict[str, Path]) -> None:
    source = coconut_fsc.load(FSC, made["fsc"])
    assert source.class_names == ["activate_lights_kitchen", "bring_juice", "changelanguage", "deactivate_music"]
    assert source.info.annotations["train"][0].sentence == "please activate the lights 0"
    assert [len(t) for t in source.splits.values()] == [16, 4, 8]
    assert coconut_fsc.check(FSC, made["fsc"])["test"]["speakers"] == 2


def test_fsc_stand_in_has_its_shape() -> None:
    names = {coconut_fsc.intent_name(*intent) for intent in coconut_fsc.INTENTS}
    assert len(names) == len(coconut_fsc.INTENTS) == 31
    rows = coconut_fsc.stand_in(FSC)
    said = {split: {r.words for r in rows if r.split == split} for split in ("train", "valid", "test")}
    for intent in coconut_fsc.INTENTS:
        assert len(coconut_fsc.phrasings(*intent)) >= 24
    assert not said["train"] & said["test"]
    assert not said["train"] & said["valid"]


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
    scores = problem.score([{"tokens": said.numpy()}], [0], "test")
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
