"""SLURP-shaped speech for class-incremental spoken language understanding; without the real data a generated, spoken stand-in.

The reader of the released SLURP layout is not built yet: a ``data.root`` is refused with a message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from .batches import Ragged, Source, Table
from .spoken import grammar
from .spoken.corpus import spoken
from .spoken.grammar import SPLITS, Plan, Utterance
from .spoken.speaker import voices

TEST_VOICES, VALID_VOICES = 15, 8  # of the 91; the shipped acoustic encoder was trained on train voices alone


def split_voices() -> dict[str, list[grammar.Voice]]:
    """No voice in two splits; a seeded permutation of all, so that every split has several accents."""
    order = voices()
    grammar._random("voices").shuffle(order)
    return {
        "test": order[:TEST_VOICES],
        "valid": order[TEST_VOICES : TEST_VOICES + VALID_VOICES],
        "train": order[TEST_VOICES + VALID_VOICES :],
    }


class Config(BaseModel):
    """Size of the stand-in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenarios: int = Field(18, ge=2, le=18, description="scenarios (the splitting classes), in alphabetical order")
    n_train: int = Field(60, ge=1, le=5000, description="training utterances an intent")
    n_valid: int = Field(4, ge=1, le=1000, description="validation utterances an intent")
    n_test: int = Field(10, ge=1, le=1000, description="test utterances an intent")
    seed: int = Field(0, ge=0, description="of the sentences and voices drawn")
    workers: int = Field(2, ge=1, le=64, description="speaking processes; the sound does not depend on it")


def utterances(config: Config) -> list[Utterance]:
    """The sentences of the stand-in with all their factors."""
    names = sorted(grammar.grammar()["intents"])[: config.scenarios]
    intents = [intent for intent in grammar.intents() if intent.partition("_")[0] in names]
    counts = {"train": config.n_train, "valid": config.n_valid, "test": config.n_test}
    return grammar.sample(Plan(counts, intents, split_voices(), seed=config.seed))


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source:
    """Columns: ``features`` [T, 40] log-mel, ``label`` the scenario, ``intent``. Raises NotADirectoryError for a root."""
    if root is not None:
        raise NotADirectoryError(
            f"{root}: this version has no reader for the released SLURP layout; leave --data-root out"
        )
    rows = utterances(config)
    content = [[u.id, u.words, u.voice.name, u.rate, u.pitch, u.noise, u.room] for u in rows]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    frames, _ = spoken(rows, key={"kind": "log-mel", "content": digest}, workers=config.workers, progress=progress)
    scenarios = sorted({u.scenario for u in rows})
    intents = sorted({u.intent for u in rows})
    tables: dict[str, Table] = {}
    texts: dict[str, list[dict[str, Any]]] = {}
    for split in SPLITS:
        index = [i for i, u in enumerate(rows) if u.split == split]
        mine = [rows[i] for i in index]
        tables[split] = Table(
            {
                "features": Ragged.from_list([frames.values[frames.offsets[i] : frames.offsets[i + 1]] for i in index]),
                "label": torch.tensor([scenarios.index(u.scenario) for u in mine]),
                "intent": torch.tensor([intents.index(u.intent) for u in mine]),
            }
        )
        texts[split] = [
            {
                "id": u.id, "scenario": u.scenario, "action": u.action, "sentence": u.words,
                "entities": [{"type": kind, "filler": filler} for kind, filler in u.entities],
            }
            for u in mine
        ]  # fmt: skip
    return Source(tables, scenarios, {"texts": texts, "intents": intents}, "stand-in", digest)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts of the splits, and how far words alone give the intent away."""
    rows = utterances(config)
    counts = {split: sum(u.split == split for u in rows) for split in SPLITS}
    speakers = {split: {u.voice for u in rows if u.split == split} for split in SPLITS}
    shared = {
        (a, b): len(speakers[a] & speakers[b]) for a, b in (("train", "valid"), ("train", "test"), ("valid", "test"))
    }
    return {
        "source": "stand-in",
        "utterances": counts,
        "entity_types": len({kind for u in rows for kind, _ in u.entities}),
        "voices": {split: len(v) for split, v in speakers.items()},
        "voices_in_two_splits": sum(shared.values()),
        **grammar.difficulty(rows),
    }
