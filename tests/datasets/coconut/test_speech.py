"""Damaged corpora of speech: every fault is one message, and may be left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from holdfast.datasets.coconut import fsc as coconut_fsc
from holdfast.datasets.coconut import manifest as coconut_manifest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.core.errors import DataError

from .. import trees

SLURP, FSC, MANIFEST = coconut_slurp.Config(), coconut_fsc.Config(), coconut_manifest.Config()


ANNOTATIONS = "dataset/slurp/train.jsonl"


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
    "no scenario": (
        lambda r: _write(r, ANNOTATIONS, _field(2, scenario=None)),
        "train.jsonl line 3: no field 'scenario'",
    ),
    "empty sentence": (
        lambda r: _write(r, ANNOTATIONS, _field(2, sentence=" ")),
        "line 3: not in the released form: empty sentence",
    ),
    "entity beyond the tokens": (
        lambda r: _write(r, ANNOTATIONS, _field(1, entities=[{"span": [99], "type": "time"}])),
        "line 2: not in the released form: an entity spans the token 99",
    ),
    "a list, no object": (
        lambda r: _write(r, ANNOTATIONS, _line(0, "[1, 2]")),
        "line 1: not in the released form: a line is an object of fields, not a list",
    ),
    "no annotations": (lambda r: (r / ANNOTATIONS).unlink(), "train.jsonl is missing"),
    "not UTF-8": (lambda r: (r / ANNOTATIONS).write_bytes(b"\xff\xfe{}"), "train.jsonl: unreadable"),
}


FSC_TRAIN = "fluent_speech_commands_dataset/data/train_data.csv"


FSC_DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing wav": (lambda r: _audio(r, "**/train0/0.wav").unlink(), "0.wav: missing"),
    "unreadable wav": (lambda r: _audio(r, "**/train0/0.wav").write_bytes(b"RIFF"), "0.wav: unreadable"),
    "wrong rate": (lambda r: trees.tone(_audio(r, "**/train0/0.wav"), 1, rate=44100), "44100 Hz, expected 16000"),
    "no samples": (lambda r: soundfile.write(_audio(r, "**/train0/0.wav"), [], 16000), "0.wav: empty"),
    "missing csv": (lambda r: (r / FSC_TRAIN).unlink(), "train_data.csv: missing"),
    "missing column": (
        lambda r: _write(r, FSC_TRAIN, _line(0, ",path,speakerId,transcription,action,object")),
        "no column location",
    ),
    "too few fields": (lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s")), "line 3: wrong number of fields"),
    "too many fields": (
        lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s,turn on, the light,a,b,c,d")),
        "line 3: wrong number of fields",
    ),
    "empty action": (
        lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s,turn on,,lights,none")),
        "line 3: wrong number of fields or an empty one",
    ),
    "empty transcription": (
        lambda r: _write(r, FSC_TRAIN, _line(2, "1,a.wav,s,!!,bring,juice,none")),
        "line 3: empty transcription",
    ),
}


MANIFEST_DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing file": (lambda r: (r / "clips/one_0.wav").unlink(), "line 2: .*one_0.wav: missing"),
    "unreadable file": (lambda r: (r / "clips/one_0.wav").write_text("no"), "one_0.wav: unreadable"),
    "no manifest": (lambda r: (r / "manifest.csv").unlink(), "no manifest.csv or manifest.jsonl"),
    "missing column": (
        lambda r: _write(r, "manifest.csv", _line(0, "path,transcription,label,speaker,entities")),
        "no column intent",
    ),
    "empty intent": (
        lambda r: _write(r, "manifest.csv", _line(1, "clips/one_0.wav,number one,,s0,[]")),
        "line 2: no intent",
    ),
    "broken entities": (
        lambda r: _write(r, "manifest.csv", _line(1, "clips/one_0.wav,number one,one,s0,[")),
        "line 2: entities",
    ),
    "entities without type": (
        lambda r: _write(r, "manifest.csv", _line(1, 'clips/one_0.wav,number one,one,s0,"[{}]"')),
        "line 2: entities",
    ),
    "listed twice": (
        lambda r: _write(r, "manifest.csv", _line(2, "clips/one_0.wav,number one,one,s0,[]")),
        "line 3: .*listed twice",
    ),
    "too few fields": (
        lambda r: _write(r, "manifest.csv", _line(1, "clips/one_0.wav,number one")),
        "line 2: wrong number",
    ),
    "not UTF-8": (lambda r: (r / "manifest.csv").write_bytes(b"\xff\xfepath"), "unreadable"),
}


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
