"""Labelled sentences from any source - released corpora, a user's own folder, sentences to be spoken - and their sound
as table columns.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
import torch
from torch import Tensor

from ..core import fingerprints, mapped, store
from ..core.errors import SHOWN, DataError
from ..core.source import Annotation, Features, Source, SpeechInfo
from ..core.table import Ragged, Table
from ..readers.audio import SAMPLE_RATE, fault_of, read_audio
from . import corpus, grammar
from .features import log_mel


@dataclass(frozen=True)
class Sentence:
    """One labelled utterance; ``path`` is its recording, None where it has to be spoken; ``entities`` are (type, as
    annotated: lower case, punctuation kept).
    """

    id: str
    split: str
    scenario: str
    action: str
    entities: tuple[tuple[str, str], ...]
    words: str
    speaker: str = ""
    path: Path | None = None

    @property
    def intent(self) -> str:
        return self.scenario if self.scenario == self.action else f"{self.scenario}_{self.action}"


def text_of(document: Mapping[str, Any], name: str) -> str:
    """A field of a row as text, empty where it is absent or null. ValueError for what is no text or finite number."""
    value = document.get(name)
    if value is None:
        return ""
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or value != value
        or value in (np.inf, -np.inf)
    ):
        raise ValueError(f"'{name}' is {json.dumps(value)[:40]}, no text")
    return str(value).strip()


def as_features(x: Tensor, kind: Features) -> Tensor:
    """A row of the table: log-mel frames [T, 40] float16, or samples [n] int16."""
    return log_mel(x).half() if kind == "log_mel" else (x.clamp(-1, 1) * 32767).round().to(torch.int16)


def features_of(path: Path, kind: Features) -> Tensor:
    """:func:`as_features` of a recording. Raises DataError as :func:`~holdfast.datasets.readers.audio.read_audio`, and
    where it is too loud for them.
    """
    x = as_features(read_audio(path), kind)
    if not bool(x.isfinite().all()):
        raise DataError(f"{path}: too loud: its features are not finite (samples are usually between -1 and 1)")
    return x


def recorded(rows: Sequence[Sentence], kind: Features, progress: Callable[[int, int], None] | None = None) -> Ragged:
    """The recordings of ``rows`` as a ragged column, through the cache (keyed by what the files hold)."""
    if not rows:
        raise ValueError("there is no recording")
    paths = [_path(row) for row in rows]
    content = fingerprints.of(paths, progress)

    def build(folder: Path) -> None:
        first, ends = features_of(paths[0], kind), [0]
        with mapped.Writer(folder / "values.npy", first.dtype, tuple(first.shape[1:])) as out:
            for number, path in enumerate(paths):
                out.write(features_of(path, kind))
                ends.append(out.rows)
                if progress is not None and (number % 32 == 0 or number + 1 == len(rows)):
                    progress(number + 1, len(rows))
        fingerprints.unchanged(paths, content)
        np.save(folder / "offsets.npy", np.array(ends, np.int64))

    folder = store.entry({"kind": f"recordings/{kind}", "content": digest(content), "n": len(rows)}, build)
    offsets = torch.from_numpy(np.load(folder / "offsets.npy"))
    return Ragged(store.column(folder / "values.npy", f"{len(rows)} recordings"), offsets)


def _path(row: Sentence) -> Path:
    if row.path is None:
        raise DataError(f"{row.id} has no recording")
    return row.path


def speak(
    rows: Sequence[Sentence],
    voices: Mapping[str, Sequence[grammar.Voice]],
    kind: Features,
    *,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Ragged:
    """The sentences of ``rows``, each in a voice of its split, as a ragged column through the cache."""
    utterances = _voiced(rows, voices, seed)
    key = {"kind": "sentences", "content": digest(_factors(utterances))}
    return corpus.spoken(utterances, key=key, features=kind, workers=workers, progress=progress)[0]


def _voiced(
    rows: Sequence[Sentence], voices: Mapping[str, Sequence[grammar.Voice]], seed: int
) -> list[grammar.Utterance]:
    plan = grammar.Plan({}, (), voices, seed=seed)
    return [grammar.voiced(plan, row.id, row.split, row.scenario, row.action, row.entities, row.words) for row in rows]


def _factors(utterances: Sequence[grammar.Utterance]) -> list[list[Any]]:
    """All that decides how each sounds."""
    return [[u.id, u.words, u.voice.name, u.rate, u.pitch, u.noise, u.room] for u in utterances]


def digest(content: Any) -> str:
    """sha256 of JSON content."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def checksum(
    rows: Sequence[Sentence], voices: Mapping[str, Sequence[grammar.Voice]] | None = None, seed: int = 0
) -> str:
    """Of what is used: the rows with all their labels, and what the recordings hold.

    With ``voices`` (and ``seed``) how the sentences are spoken instead.
    """
    heard: list[Any]
    if voices is None:
        heard = list(fingerprints.of([_path(row) for row in rows]))
    else:
        heard = _factors(_voiced(rows, voices, seed))
    labels = [[r.id, r.split, r.scenario, r.action, r.entities, r.words, r.speaker] for r in rows]
    return digest([labels, heard])


def too_long(rows: Sequence[Sentence], features: Ragged, kind: Features, max_seconds: float | None) -> list[bool]:
    """Which training rows last longer than ``max_seconds``; rows of other splits are always kept."""
    if max_seconds is None:
        return [False] * len(rows)
    limit = max_seconds * (SAMPLE_RATE if kind == "waveform" else 100)
    return [row.split == "train" and n > limit for row, n in zip(rows, features.lengths.tolist(), strict=True)]


def assemble(
    rows: Sequence[Sentence],
    features: Ragged,
    *,
    kind: Features,
    label: Literal["scenario", "intent"],
    source: str,
    checksum: str,
    entities: bool = True,
    faults_skipped: int = 0,
    unknown_intents_dropped: int = 0,
    too_long_dropped: int = 0,
) -> Source[SpeechInfo]:
    """Tables with ``features``, ``label`` (index of the splitting class) and ``intent``; annotations and names in
    ``info``.

    Raises DataError where a split is empty or a class has no training row.
    """
    names = sorted({getattr(row, label) for row in rows})
    intents = sorted({row.intent for row in rows})
    tables: dict[str, Table] = {}
    annotations: dict[str, list[Annotation]] = {}
    for split in grammar.SPLITS:
        index = [i for i, row in enumerate(rows) if row.split == split]
        if not index:
            raise DataError(f"there is no row in the split '{split}'")
        mine = [rows[i] for i in index]
        tables[split] = Table(
            {
                "features": Ragged.from_list(
                    [features.values[features.offsets[i] : features.offsets[i + 1]] for i in index]
                ),
                "label": torch.tensor([names.index(getattr(row, label)) for row in mine]),
                "intent": torch.tensor([intents.index(row.intent) for row in mine]),
            }
        )
        annotations[split] = [
            Annotation(row.id, row.scenario, row.action, row.words, row.entities if entities else ()) for row in mine
        ]
    missing = sorted(set(names) - {getattr(row, label) for row in rows if row.split == "train"})
    if missing:
        raise DataError(f"no training row has {label}: {', '.join(missing[:SHOWN])}")
    info = SpeechInfo(
        features=kind,
        intents=tuple(intents),
        annotations=annotations,
        faults_skipped=faults_skipped,
        unknown_intents_dropped=unknown_intents_dropped,
        too_long_dropped=too_long_dropped,
    )
    return Source(tables, names, info, source, checksum)


def describe(rows: Sequence[Sentence], faults: Sequence[str], source: str, audio: bool = True) -> dict[str, Any]:
    """What ``suites data check`` prints of a corpus: counts, classes a split, speakers, hours, faults."""
    summary: dict[str, Any] = {"source": source}
    for split in grammar.SPLITS:
        mine = [row for row in rows if row.split == split]
        part: dict[str, Any] = {
            "utterances": len(mine),
            "sentences": len({row.words for row in mine}),
            "intents": len({row.intent for row in mine}),
            "scenarios": dict(sorted(Counter(row.scenario for row in mine).items())),
            "speakers": len({row.speaker for row in mine if row.speaker}),
        }
        if audio:
            part |= _durations([row.path for row in mine if row.path is not None and fault_of(row.path) is None])
        summary[split] = part
    in_train, in_test = ({row.intent for row in rows if row.split == split} for split in ("train", "test"))
    summary["test_intents_not_in_train"] = sorted(in_test - in_train)
    summary["sentences_in_train_and_test"] = len(
        {row.words for row in rows if row.split == "train"} & {row.words for row in rows if row.split == "test"}
    )
    summary["speakers_in_train_and_test"] = len(
        {row.speaker for row in rows if row.split == "train" and row.speaker}
        & {row.speaker for row in rows if row.split == "test"}
    )
    summary["entity_types"] = len({kind for row in rows for kind, _ in row.entities})
    summary["faults"] = list(faults)
    return summary


def _durations(paths: Sequence[Path]) -> dict[str, float]:
    seconds = [soundfile.info(path).duration for path in paths]
    if not seconds:
        return {}
    return {
        "hours": round(sum(seconds) / 3600, 3),
        "shortest_s": round(min(seconds), 2),
        "longest_s": round(max(seconds), 2),
    }
