"""Fluent Speech Commands: the released layout, or a spoken stand-in of its shape with the same 31 intents.

Released layout under the data root (or its folder ``fluent_speech_commands_dataset``):
``data/{train,valid,test}_data.csv`` with the columns path, speakerId, transcription, action, object, location;
``wavs/speakers/<speaker>/<uuid>.wav`` at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from ..core import paths
from ..core.errors import DataError, refuse
from ..core.source import Source, SpeechInfo
from ..core.transcript import clean_words
from ..readers.audio import SAMPLE_RATE, fault_of
from ..readers.csv import fields_of, wrong_length
from ..spoken import grammar, recordings
from ..spoken.recordings import Sentence
from .speech import SpeechConfig, finish, known_in_train, limited, split_voices

COLUMNS = ("path", "speakerId", "transcription", "action", "object", "location")

# The 31 intents (action, object, location) in the order of the public code, with phrasings of our own.
PLACES = ("kitchen", "bedroom", "washroom")
INTENTS: tuple[tuple[str, str, str], ...] = (
    ("change language", "none", "none"),
    ("activate", "music", "none"),
    ("activate", "lights", "none"),
    ("deactivate", "lights", "none"),
    ("increase", "volume", "none"),
    ("decrease", "volume", "none"),
    ("increase", "heat", "none"),
    ("decrease", "heat", "none"),
    ("deactivate", "music", "none"),
    ("activate", "lamp", "none"),
    ("deactivate", "lamp", "none"),
    *(("activate", "lights", place) for place in PLACES),
    *(("deactivate", "lights", place) for place in PLACES),
    *(("increase", "heat", place) for place in PLACES),
    *(("decrease", "heat", place) for place in PLACES),
    ("bring", "newspaper", "none"),
    ("bring", "juice", "none"),
    ("bring", "socks", "none"),
    ("change language", "Chinese", "none"),
    ("change language", "Korean", "none"),
    ("change language", "English", "none"),
    ("change language", "German", "none"),
    ("bring", "shoes", "none"),
)
_WORDS = {
    ("activate", "lights"): [
        "turn on the {o}",
        "switch the {o} on",
        "put the {o} on",
        "we need the {o} on",
        "{o} on please",
        "it is too dark get the {o} on",
    ],
    ("deactivate", "lights"): [
        "turn off the {o}",
        "switch the {o} off",
        "put the {o} out",
        "we need the {o} off",
        "{o} off please",
        "no more {o}",
    ],
    ("activate", "music"): [
        "play the {o}",
        "start the {o}",
        "turn on the {o}",
        "put some {o} on",
        "i want to hear {o}",
        "resume the {o}",
    ],
    ("deactivate", "music"): [
        "stop the {o}",
        "pause the {o}",
        "turn off the {o}",
        "put the {o} away",
        "i do not want to hear {o}",
        "end the {o}",
    ],
    ("increase", "volume"): [
        "turn up the {o}",
        "make it louder",
        "increase the {o}",
        "raise the {o}",
        "i can not hear that",
        "the sound is too low",
    ],
    ("decrease", "volume"): [
        "turn down the {o}",
        "make it quieter",
        "decrease the {o}",
        "lower the {o}",
        "that is too loud",
        "the sound is too high",
    ],
    ("increase", "heat"): [
        "turn up the {o}",
        "make it warmer",
        "increase the {o}",
        "raise the temperature",
        "it is too cold",
        "more {o} please",
    ],
    ("decrease", "heat"): [
        "turn down the {o}",
        "make it cooler",
        "decrease the {o}",
        "lower the temperature",
        "it is too hot",
        "less {o} please",
    ],
    ("bring", ""): [
        "bring me the {o}",
        "get me my {o}",
        "fetch the {o}",
        "go and get the {o}",
        "i need the {o}",
        "could i have my {o}",
    ],
    ("change language", "none"): [
        "change the language",
        "switch the language",
        "use another language",
        "i want a different language",
        "open the language settings",
        "set another language",
    ],
    ("change language", ""): [
        "change the language to {o}",
        "switch to {o}",
        "use {o}",
        "i want to hear {o}",
        "set the language to {o}",
        "speak {o} now",
    ],
}
_BEFORE = ("", "", "please", "now", "hey", "okay")


class Config(SpeechConfig):
    """Size of the stand-in."""

    outside_paths: bool = Field(False, description=paths.OUTSIDE)
    n_train: int = Field(90, ge=1, le=5000, description="stand-in: training utterances an intent")
    n_valid: int = Field(6, ge=1, le=1000, description="stand-in: validation utterances an intent")
    n_test: int = Field(12, ge=1, le=1000, description="stand-in: test utterances an intent")
    intents: int = Field(31, ge=2, le=31, description="stand-in: intents, the first ones of the public code's table")


def intent_name(action: str, thing: str, place: str) -> tuple[str, str]:
    """(scenario, action) of an FSC intent: ``activate`` and ``lights_kitchen``; an intent of one word is both."""
    first = action.replace(" ", "")
    rest = "_".join(part for part in (thing, place) if part != "none")
    return (first, rest) if rest else (first, first)


def phrasings(action: str, thing: str, place: str) -> list[str]:
    """What the stand-in says for an intent, 24 sentences or more."""
    key = (action, thing if (action, thing) in _WORDS else "")
    if thing == "lamp":
        key = (action, "lights")
    tail = f" in the {place}" if place != "none" else ""
    said = [template.format(o=thing) + tail for template in _WORDS[key]]
    return list(dict.fromkeys(" ".join(f"{b} {s}".split()) for b in _BEFORE for s in said))


def stand_in(config: Config) -> list[Sentence]:
    """Sentences of the stand-in; no sentence is in two splits."""
    rows = []
    counts = {"train": config.n_train, "valid": config.n_valid, "test": config.n_test}
    for intent in INTENTS[: config.intents]:
        scenario, action = intent_name(*intent)
        said = phrasings(*intent)
        grammar.random_of("fsc", *intent).shuffle(said)
        first, second = round(0.6 * len(said)), round(0.75 * len(said))
        options = {"train": said[:first], "valid": said[first:second], "test": said[second:]}
        for split, count in counts.items():
            for number in range(count):
                r = grammar.random_of(config.seed, "fsc", split, scenario, action, number)
                name = f"{split}-{scenario}-{action}-{number}"
                rows.append(Sentence(name, split, scenario, action, (), r.choice(options[split])))
    return rows


def released(config: Config, root: Path) -> tuple[list[Sentence], list[str]]:
    """The rows of the released csv files and their faults. Raises DataError where a csv file or a column is missing."""
    inner = root / "fluent_speech_commands_dataset"
    base = inner if inner.is_dir() else root
    if not base.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder that holds fluent_speech_commands_dataset")
    rows: list[Sentence] = []
    faults: list[str] = []
    for split in grammar.SPLITS:
        path = base / "data" / f"{split}_data.csv"
        if not path.exists():
            raise DataError(f"{path}: missing; --data-root names the folder of Fluent Speech Commands")
        for line, row in fields_of(path, COLUMNS):
            where = f"{path.name} line {line}"
            values = [row[c] for c in COLUMNS]
            if wrong_length(row) or not all(v.strip() for v in values):
                faults.append(f"{where}: wrong number of fields or an empty one")
                continue
            name, speaker, text, *intent = (str(v).strip() for v in values)
            if clean_words(text) == "":
                faults.append(f"{where}: empty transcription")
                continue
            try:
                recording = paths.within(base, name, config.outside_paths)
            except ValueError as error:
                faults.append(f"{where}: {error}")
                continue
            scenario, action = intent_name(*intent)
            rows.append(Sentence(name, split, scenario, action, (), clean_words(text), speaker, recording))
    if config.limit is not None:
        rows = limited(rows, config)
    kept = []
    for sentence in rows:
        fault = fault_of(sentence.path, SAMPLE_RATE) if sentence.path else None
        if fault is None:
            kept.append(sentence)
        else:
            faults.append(fault)
    return kept, faults


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[SpeechInfo]:
    """Columns: ``features``, ``label`` = ``intent`` (the splitting class). Raises DataError with all that is wrong with
    the data.
    """
    if root is None:
        rows = stand_in(config)
        features = recordings.speak(
            rows, split_voices(), config.features, seed=config.seed, workers=config.workers, progress=progress
        )
        checksum = recordings.checksum(rows, split_voices(), config.seed)
        return finish(config, rows, features, "intent", "stand-in", checksum)
    rows, faults = released(config, root)
    if config.on_fault == "error":
        refuse(str(root), faults)
    rows, dropped = known_in_train(rows, "intent")
    checksum = recordings.checksum(rows)
    return finish(
        config,
        rows,
        recordings.recorded(rows, config.features, progress),
        "intent",
        "real",
        checksum,
        faults_skipped=len(faults),
        unknown_intents_dropped=dropped,
    )


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts, durations, classes, speakers and faults."""
    if root is None:
        return recordings.describe(stand_in(config), [], "stand-in", audio=False)
    rows, faults = released(config, root)
    return recordings.describe(rows, faults, "real")
