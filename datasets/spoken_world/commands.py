"""Spoken commands for intents that are learned one experience after another (speech, as the stand-in of SLURP)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..core.source import Source, SpeechInfo
from ..core.table import Ragged, Table
from ..spoken import recordings
from ..spoken.recordings import Sentence
from . import rows
from .rows import Progress, WorldConfig

check = rows.check


class Config(WorldConfig):
    """The plan of coconut_world."""

    features: Literal["log_mel", "waveform"] = Field(
        "log_mel", description="rows: log-mel frames for the small encoder, or samples for wav2vec-type encoders"
    )
    max_seconds: float | None = Field(
        None, gt=0, description="longer training utterances are dropped; never valid or test"
    )
    entities: bool = Field(True, description="entities in the extended transcript")


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[SpeechInfo]:
    """Columns ``features`` (log-mel frames), ``label``, ``intent``, ``experience``. Raises DataError as
    :func:`.rows.world`.
    """
    made = rows.world(config, root, "commands")
    sentences = [
        Sentence(u.id, u.split, u.scenario, u.action, u.entities, u.words, u.voice.name)
        for u in (row.utterance for row in made.rows)
    ]
    sound = rows.spoken(made, config.features, config.workers, progress)
    frames = [part.values[part.offsets[k] : part.offsets[k + 1]] for part in sound.values() for k in range(len(part))]
    long = recordings.too_long(sentences, Ragged.from_list(frames), config.features, config.max_seconds)
    checksum = made.checksum if not any(long) else recordings.digest([made.checksum, config.max_seconds])
    keep = [k for k, dropped in enumerate(long) if not dropped]
    made = rows.World(made.plan, [made.rows[k] for k in keep])
    sentences, frames = [sentences[k] for k in keep], [frames[k] for k in keep]
    source = recordings.assemble(
        sentences,
        Ragged.from_list(frames),
        kind=config.features,
        label=made.plan.label,
        source="stand-in",
        checksum=checksum,
        entities=config.entities,
        too_long_dropped=sum(long),
    )
    splits = {
        split: Table({**table.columns, "experience": made.numbers(split, "experience")})
        for split, table in source.splits.items()
    }
    return replace(source, splits=splits)
