"""A user's own recordings: a manifest (CSV or JSON lines) of path, transcription and intent, optionally entities,
speaker and split.

The data root is the manifest or a folder that holds ``manifest.csv`` or ``manifest.jsonl``. Paths are relative to the
manifest and lead to files below it, unless ``outside_paths`` is set. A null is an absent field. ``intent`` is any
name; ``scenario`` (or ``scenario_action`` as the name) groups intents. ``entities`` is a list of {type, filler}
(JSON, also in a CSV field). Without ``split`` no voice lies in two splits where there are three or more speakers;
with fewer, no text does (within each intent that has three or more; ``suites data check`` counts the sentences and
speakers that lie in train and test). Any sample rate and format that soundfile reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from ..core import paths
from ..core.errors import DataError, refuse
from ..core.seeds import generator
from ..core.source import Source, SpeechInfo
from ..core.transcript import clean_words, filler
from ..readers.audio import fault_of
from ..readers.csv import fields_of, wrong_length
from ..readers.files import read_text
from ..spoken import grammar, recordings
from ..spoken.recordings import Sentence, text_of
from .speech import SpeechConfig, finish, known_in_train, limited, split_voices

REQUIRED = ("path", "transcription", "intent")
WORDS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}


class Config(SpeechConfig):
    """How a manifest is read; without one the stand-in speaks ten digits."""

    split_by: Literal["intent", "scenario"] = Field("intent", description="the splitting class of the stream")
    valid_share: float = Field(0.1, gt=0, lt=0.5, description="rows for validation where the manifest names no split")
    test_share: float = Field(0.2, gt=0, lt=0.8, description="rows for test where the manifest names no split")
    group_by: Literal["auto", "speaker", "text", "none"] = Field(
        "auto",
        description=(
            "what lies in one split alone where the manifest names no split: speakers; texts (of an "
            "intent with three or more); none: rows at random; auto: speakers if there are three, else "
            "texts"
        ),
    )
    outside_paths: bool = Field(False, description=paths.OUTSIDE)
    n_train: int = Field(40, ge=1, le=5000, description="stand-in: training utterances a digit")
    n_valid: int = Field(4, ge=1, le=1000, description="stand-in: validation utterances a digit")
    n_test: int = Field(10, ge=1, le=1000, description="stand-in: test utterances a digit")


def _manifest(root: Path) -> Path:
    if root.is_file():
        return root
    for name in ("manifest.jsonl", "manifest.csv"):
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: no manifest.csv or manifest.jsonl; --data-root names one or the folder that holds it")


def _documents(path: Path, faults: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and fields of every row; broken rows go into ``faults``."""
    if path.suffix == ".csv":
        for number, row in fields_of(path, REQUIRED):
            if wrong_length(row):
                faults.append(f"{path.name} line {number}: wrong number of fields")
                continue
            yield number, {k: v for k, v in row.items() if v != ""}
        return
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except json.JSONDecodeError as error:
            faults.append(f"{path.name} line {number}: broken JSON: {error.msg} at column {error.colno}")
            continue
        if not isinstance(document, dict):
            faults.append(f"{path.name} line {number}: a row is an object of fields")
            continue
        yield number, document


def _listed(config: Config, root: Path) -> tuple[list[Sentence], list[str]]:
    """The rows of a manifest as they stand, all with a split or none, and their faults."""
    path = _manifest(root)
    faults: list[str] = []
    rows: list[Sentence] = []
    seen: set[str] = set()
    for number, document in _documents(path, faults):
        where = f"{path.name} line {number}"
        try:
            text = {name: text_of(document, name) for name in (*REQUIRED, "split", "scenario", "speaker")}
            absent = [name for name in REQUIRED if not text[name]]
            file = paths.within(path.parent, text["path"], config.outside_paths)
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if absent:
            faults.append(f"{where}: no {', '.join(absent)}")
            continue
        split = text["split"]
        split = {"devel": "valid", "dev": "valid", "validation": "valid"}.get(split, split)
        if split not in ("", *grammar.SPLITS):
            faults.append(f"{where}: unknown split '{split}' (there are: train, valid, test)")
            continue
        try:
            entities = _entities(document.get("entities") or [])
        except (ValueError, TypeError, AttributeError) as error:
            faults.append(f"{where}: entities are a list of type and filler ({error})")
            continue
        fault = fault_of(file)
        if fault is not None or str(file) in seen:
            faults.append(f"{where}: {fault or f'{file}: listed twice'}")
            continue
        seen.add(str(file))
        intent = "_".join(text["intent"].split())
        scenario, _, action = intent.partition("_")
        if text["scenario"]:
            scenario = "_".join(text["scenario"].split())
            action = intent.removeprefix(f"{scenario}_")
        words = clean_words(text["transcription"])
        rows.append(Sentence(text["path"], split, scenario, action or scenario, entities, words, text["speaker"], file))
    if any(row.split for row in rows) and not all(row.split for row in rows):
        faults.append(f"{path.name}: some rows name a split and some do not")
        rows = [row for row in rows if row.split]
    return rows, faults


def _assigned(config: Config, rows: list[Sentence]) -> list[Sentence]:
    """``rows`` with a split each, at most ``limit`` sentences a split."""
    if rows and not rows[0].split:
        rows = _split(rows, config)
    return limited(rows, config) if config.limit is not None else rows


def read(config: Config, root: Path) -> tuple[list[Sentence], list[str]]:
    """The rows of a manifest, each with its split, and their faults."""
    rows, faults = _listed(config, root)
    return _assigned(config, rows), faults


def _entities(given: Any) -> tuple[tuple[str, str], ...]:
    listed = json.loads(given) if isinstance(given, str) else given
    entities = [(text_of(e, "type"), text_of(e, "filler")) for e in listed]
    if not all(kind and said for kind, said in entities):
        raise ValueError("one has no type or no filler")
    return tuple((kind, filler(said)) for kind, said in entities)


def _split(rows: list[Sentence], config: Config) -> list[Sentence]:
    """Splits where the manifest names none: whole groups of rows, as ``group_by`` says (see :class:`Config`)."""
    named = sorted({row.speaker for row in rows if row.speaker})
    by = config.group_by
    if by == "speaker" and (len(named) < 3 or not all(row.speaker for row in rows)):
        raise DataError(f"group_by: speaker needs a speaker in every row and three of them; {len(named)} are named")
    if by == "auto":
        by = "speaker" if len(named) >= 3 and all(row.speaker for row in rows) else "text"
    g = generator(config.seed, "manifest/split")
    if by == "speaker":
        split_of = _splits_of(named, config, g)
        return [replace(row, split=split_of[row.speaker]) for row in rows]
    result = list(rows)
    for intent in sorted({row.intent for row in rows}):
        mine = [i for i, row in enumerate(rows) if row.intent == intent]
        texts = sorted({rows[i].words for i in mine})
        if by == "text" and len(texts) >= 3:
            split_of = _splits_of(texts, config, g)
            for i in mine:
                result[i] = replace(rows[i], split=split_of[rows[i].words])
        else:  # one or two sentences: their recordings are shared out
            numbered = _splits_of([str(i) for i in mine], config, g)
            for i in mine:
                result[i] = replace(rows[i], split=numbered[str(i)])
    return result


def _splits_of(names: list[str], config: Config, g: torch.Generator) -> dict[str, str]:
    """A split for each of ``names``: a permutation cut by the shares, at least one name for test and for valid."""
    n_test, n_valid = (max(1, round(share * len(names))) for share in (config.test_share, config.valid_share))
    return {
        names[i]: "test" if k < n_test else "valid" if k < n_test + n_valid else "train"
        for k, i in enumerate(torch.randperm(len(names), generator=g).tolist())
    }


def stand_in(config: Config) -> list[Sentence]:
    """Spoken digits, as the recordings of the Free Spoken Digit Dataset would be."""
    counts = {"train": config.n_train, "valid": config.n_valid, "test": config.n_test}
    return [
        Sentence(f"{split}-{word}-{k}", split, word, word, (), word)
        for split, count in counts.items()
        for word in WORDS
        for k in range(count)
    ]


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[SpeechInfo]:
    """Columns: ``features``, ``label`` the splitting class, ``intent``. Raises DataError with all that is wrong with
    the data.
    """
    if root is None:
        rows = stand_in(config)
        features = recordings.speak(
            rows, split_voices(), config.features, seed=config.seed, workers=config.workers, progress=progress
        )
        checksum = recordings.checksum(rows, split_voices(), config.seed)
        return finish(config, rows, features, config.split_by, "stand-in", checksum)
    listed, faults = _listed(config, root)
    if config.on_fault == "error":
        refuse(str(root), faults)
    rows, dropped = known_in_train(_assigned(config, listed), config.split_by)
    checksum = recordings.checksum(rows)
    made = finish(
        config,
        rows,
        recordings.recorded(rows, config.features, progress),
        config.split_by,
        "real",
        checksum,
        faults_skipped=len(faults),
        unknown_intents_dropped=dropped,
    )
    return replace(made, random_split=not any(row.split for row in listed))


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts, durations, classes, speakers and faults."""
    if root is None:
        return recordings.describe(stand_in(config), [], "stand-in", audio=False)
    rows, faults = read(config, root)
    return recordings.describe(rows, faults, "real")
