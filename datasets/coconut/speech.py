"""What the sets of spoken commands share: voices of a split, fields of a Config, limits, the Source."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..core.seeds import generator
from ..core.source import Source, SpeechInfo
from ..spoken import grammar, recordings
from ..spoken.recordings import Sentence
from ..spoken.speaker import voices

TEST_VOICES, VALID_VOICES = 15, 8  # of the 91; the shipped acoustic encoder was trained on train voices alone


def split_voices() -> dict[str, list[grammar.Voice]]:
    """No voice in two splits; a seeded permutation of all, so that every split has several accents."""
    order = voices()
    grammar.random_of("voices").shuffle(order)
    return {
        "test": order[:TEST_VOICES],
        "valid": order[TEST_VOICES : TEST_VOICES + VALID_VOICES],
        "train": order[TEST_VOICES + VALID_VOICES :],
    }


class SpeechConfig(BaseModel):
    """What every speech data set may be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: Literal["log_mel", "waveform"] = Field(
        "log_mel", description="rows: log-mel frames for the small encoder, or samples for wav2vec-type encoders"
    )
    max_seconds: float | None = Field(
        None, gt=0, description="longer training utterances are dropped (paper's code: 7); never valid or test"
    )
    on_fault: Literal["error", "skip"] = Field(
        "error", description="a missing or broken recording: an error, or left out with a count"
    )
    limit: int | None = Field(None, ge=1, description="sentences a split at most, drawn with the seed; null: all")
    seed: int = Field(0, ge=0, description="of the sentences and voices drawn")
    workers: int = Field(2, ge=1, le=64, description="speaking processes; the sound does not depend on it")


def limited(rows: list[Sentence], config: SpeechConfig) -> list[Sentence]:
    """At most ``limit`` sentences a split, drawn with the seed; all recordings of a sentence stay together."""
    import torch

    kept = []
    for split in grammar.SPLITS:
        mine = [row for row in rows if row.split == split]
        texts = list(dict.fromkeys(row.words for row in mine))
        order = torch.randperm(len(texts), generator=generator(config.seed, f"limit/{split}")).tolist()
        chosen = {texts[i] for i in order[: config.limit]}
        kept += [row for row in mine if row.words in chosen]
    return kept


def known_in_train(rows: list[Sentence], label: Literal["scenario", "intent"]) -> tuple[list[Sentence], int]:
    """Rows whose intent and splitting class training has, and how many others were left out of valid and test."""
    seen = {(getattr(row, label), row.intent) for row in rows if row.split == "train"}
    kept = [row for row in rows if (getattr(row, label), row.intent) in seen]
    return kept, len(rows) - len(kept)


def finish(
    config: SpeechConfig,
    rows: list[Sentence],
    features: Any,
    label: Literal["scenario", "intent"],
    source: str,
    checksum: str,
    *,
    entities: bool = True,
    faults_skipped: int = 0,
    unknown_intents_dropped: int = 0,
) -> Source[SpeechInfo]:
    """The tables, without the training rows that are too long."""
    long = recordings.too_long(rows, features, config.features, config.max_seconds)
    if any(long):
        keep = [i for i, drop in enumerate(long) if not drop]
        values = [features.values[features.offsets[i] : features.offsets[i + 1]] for i in keep]
        rows, features = [rows[i] for i in keep], type(features).from_list(values)
        checksum = recordings.digest([checksum, [row.id for row in rows]])  # of what is used
    return recordings.assemble(
        rows,
        features,
        kind=config.features,
        label=label,
        source=source,
        checksum=checksum,
        entities=entities,
        faults_skipped=faults_skipped,
        unknown_intents_dropped=unknown_intents_dropped,
        too_long_dropped=sum(long),
    )
