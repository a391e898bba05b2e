"""SLURP for class-incremental spoken language understanding: the released layout, its sentences spoken, or a
generated, spoken stand-in.

Released layout under the data root: ``dataset/slurp/{train,devel,test,train_synthetic}.jsonl`` (or the same files in
the root itself) and ``audio/slurp_real/*.flac``, ``audio/slurp_synth/*.flac``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..core import paths
from ..core.errors import DataError, refuse
from ..core.source import Source, SpeechInfo
from ..core.transcript import clean_words, filler
from ..readers.audio import SAMPLE_RATE, fault_of
from ..readers.files import read_text
from ..spoken import grammar, recordings
from ..spoken.corpus import spoken as spoken_rows
from ..spoken.grammar import Plan, Utterance
from ..spoken.recordings import Sentence, text_of
from .speech import SpeechConfig, finish, known_in_train, limited, split_voices

FILES = {"train": "train", "valid": "devel", "test": "test"}


class Config(SpeechConfig):
    """Size of the stand-in, and what is read of the released corpus."""

    scenarios: int = Field(
        18, ge=2, le=18, description="stand-in: scenarios (the splitting classes), in alphabetical order"
    )
    n_train: int = Field(60, ge=1, le=5000, description="stand-in: training utterances an intent")
    n_valid: int = Field(4, ge=1, le=1000, description="stand-in: validation utterances an intent")
    n_test: int = Field(10, ge=1, le=1000, description="stand-in: test utterances an intent")
    audio: Literal["recorded", "spoken"] = Field(
        "recorded",
        description=(
            "with a data root: the released audio, or the released sentences spoken (for those who have "
            "the annotations only)"
        ),
    )
    synthetic: bool = Field(True, description="train on slurp_synth beside the real recordings")
    recordings: Literal["all", "headset", "one"] = Field(
        "all", description="of a sentence: all, close-talk alone, or one"
    )
    entities: bool = Field(True, description="entities in the extended transcript")


def utterances(config: Config) -> list[Utterance]:
    """The sentences of the stand-in with all their factors."""
    names = sorted(grammar.grammar()["intents"])[: config.scenarios]
    intents = [intent for intent in grammar.intents() if intent.partition("_")[0] in names]
    counts = {"train": config.n_train, "valid": config.n_valid, "test": config.n_test}
    return grammar.sample(Plan(counts, intents, split_voices(), seed=config.seed))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield number, line


def _find(root: Path, stem: str) -> Path | None:
    for folder in (root / "dataset" / "slurp", root):
        for name in (f"{stem}.jsonl", f"{stem}.jsonl.gz"):
            if os.path.lexists(folder / name):
                return folder / name
    return None


def released(config: Config, root: Path) -> tuple[list[Sentence], list[str]]:
    """The rows of the released annotations and their faults: broken JSON with its line, unknown fields, audio that
    cannot be used.

    Intent is ``scenario_action`` (the field ``intent`` is inconsistent); a filler is the lower-cased
    surfaces of its span. Raises DataError where an annotation file is missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder that holds dataset/slurp")
    rows: list[Sentence] = []
    faults: list[str] = []
    stems = [*FILES.items()]
    if config.synthetic and config.audio == "recorded" and _find(root, "train_synthetic"):
        stems.append(("train", "train_synthetic"))
    for split, stem in stems:
        path = _find(root, stem)
        if path is None:
            raise DataError(
                f"{root}: dataset/slurp/{stem}.jsonl is missing; get the annotations of SLURP "
                "(repository pswietojanski/slurp)"
            )
        try:
            for number, line in _lines(path):
                where = f"{path.name} line {number}"
                try:
                    rows += _sentences(json.loads(line), split, root, config)
                except json.JSONDecodeError as error:
                    faults.append(f"{where}: broken JSON: {error.msg} at column {error.colno}")
                except KeyError as error:
                    faults.append(f"{where}: no field {error}")
                except (TypeError, IndexError, ValueError, AttributeError) as error:
                    faults.append(f"{where}: not in the released form: {error}")
        except DataError as error:
            faults.append(str(error))
    if config.limit is not None:
        rows = limited(rows, config)
    if config.audio == "recorded":
        kept = []
        for row in rows:
            fault = fault_of(row.path, SAMPLE_RATE) if row.path is not None else f"{row.id}: no recording"
            if fault is None:
                kept.append(row)
            else:
                faults.append(fault)
        rows = kept
    return rows, faults


def _text(document: dict[str, Any], name: str) -> str:
    """A field that must be there. KeyError where it is not, ValueError where it is null or no text."""
    if document[name] is None:
        raise ValueError(f"'{name}' is null")
    return text_of(document, name)


def _sentences(document: dict[str, Any], split: str, root: Path, config: Config) -> list[Sentence]:
    """The rows of one line: one a recording, or one where the sentence is spoken."""
    if not isinstance(document, dict):
        raise TypeError(f"a line is an object of fields, not a {type(document).__name__}")
    surfaces = {int(t["id"]): _text(t, "surface") for t in document["tokens"]}
    absent = sorted({int(i) for e in document["entities"] for i in e["span"]} - set(surfaces))
    if absent:
        raise ValueError(f"an entity spans the token {absent[0]}, which the sentence does not have")
    entities = tuple(
        (_text(e, "type"), filler(" ".join(surfaces[int(i)] for i in e["span"]))) for e in document["entities"]
    )
    number, words = int(document["slurp_id"]), clean_words(_text(document, "sentence"))
    scenario, action = _text(document, "scenario"), _text(document, "action")
    if not words or not scenario or not action:
        raise ValueError("empty sentence, scenario or action")
    if config.audio == "spoken":
        return [Sentence(f"{split}-{number}", split, scenario, action, entities, words)]
    names = [_text(r, "file") for r in document["recordings"]]
    if not all(paths.is_file_name(name) for name in names):
        raise ValueError("a recording is the name of a file, without a folder")
    if config.recordings == "headset":
        names = [n for n in names if "headset" in n] or names[:1]
    elif config.recordings == "one":
        names = names[:1]
    return [
        Sentence(
            name,
            split,
            scenario,
            action,
            entities,
            words,
            path=root / "audio" / ("slurp_synth" if "synth" in name else "slurp_real") / name,
        )
        for name in names
    ]


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[SpeechInfo]:
    """Columns: ``features``, ``label`` the scenario, ``intent``. Raises DataError with all that is wrong with the
    data.
    """
    if root is None:
        rows = [
            Sentence(u.id, u.split, u.scenario, u.action, u.entities, u.words, u.voice.name) for u in utterances(config)
        ]
        spoken = utterances(config)
        content = [[u.id, u.words, u.voice.name, u.rate, u.pitch, u.noise, u.room] for u in spoken]
        checksum = recordings.digest(content)
        features, _ = spoken_rows(
            spoken,
            key={"kind": "log-mel", "content": checksum},
            features=config.features,
            workers=config.workers,
            progress=progress,
        )
        return finish(config, rows, features, "scenario", "stand-in", checksum, entities=config.entities)
    rows, faults = released(config, root)
    if config.on_fault == "error":
        refuse(str(root), faults)
    rows, dropped = known_in_train(rows, "scenario")
    if config.audio == "spoken":
        features = recordings.speak(
            rows, split_voices(), config.features, seed=config.seed, workers=config.workers, progress=progress
        )
        source, checksum = "real-text-spoken", recordings.checksum(rows, split_voices(), config.seed)
    else:
        features, source = recordings.recorded(rows, config.features, progress), "real"
        checksum = recordings.checksum(rows)
    return finish(
        config,
        rows,
        features,
        "scenario",
        source,
        checksum,
        entities=config.entities,
        faults_skipped=len(faults),
        unknown_intents_dropped=dropped,
    )


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Of the released corpus: counts, durations, classes and faults; of the stand-in: counts, and how far words alone
    give the intent away.
    """
    if root is not None:
        rows, faults = released(config, root)
        source = "real-text-spoken" if config.audio == "spoken" else "real"
        return recordings.describe(rows, faults, source, audio=config.audio == "recorded")
    rows_spoken = utterances(config)
    counts = {split: sum(u.split == split for u in rows_spoken) for split in grammar.SPLITS}
    speakers = {split: {u.voice for u in rows_spoken if u.split == split} for split in grammar.SPLITS}
    shared = {
        (a, b): len(speakers[a] & speakers[b]) for a, b in (("train", "valid"), ("train", "test"), ("valid", "test"))
    }
    return {
        "source": "stand-in",
        "utterances": counts,
        "entity_types": len({kind for u in rows_spoken for kind, _ in u.entities}),
        "voices": {split: len(v) for split, v in speakers.items()},
        "voices_in_two_splits": sum(shared.values()),
        **grammar.difficulty(rows_spoken),
    }
