"""Spoken commands for intents that are learned one experience after another (speech, as the stand-in of SLURP)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
    sound = rows.spoken(made, "log_mel", config.workers, progress)
    frames = [part.values[part.offsets[k] : part.offsets[k + 1]] for part in sound.values() for k in range(len(part))]
    source = recordings.assemble(
        sentences,
        Ragged.from_list(frames),
        kind="log_mel",
        label=made.plan.label,
        source="stand-in",
        checksum=made.checksum,
        entities=config.entities,
    )
    splits = {
        split: Table({**table.columns, "experience": made.numbers(split, "experience")})
        for split, table in source.splits.items()
    }
    return replace(source, splits=splits)
