"""What all data sets of the spoken world share: fields of their Config, the drawn rows, and how they sound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import DataError, refuse
from ..core.table import Ragged
from ..spoken import corpus, recordings
from ..spoken.grammar import SPLITS
from . import associations, draw, plan
from .draw import Row
from .plan import Plan

Progress = Callable[[int, int], None] | None
ROWS_A_WORKER = 64  # a speaking process takes half a second to start
SPREAD = 3.0  # standard deviations of a spectrogram that a byte's range holds, both ways


class WorldConfig(BaseModel):
    """A plan, and what may take the place of its strengths."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: str | dict[str, Any] = Field(
        "coconut", description="name of a plan that comes with Holdfast, or a plan (docs/methods/spoken_world.md)"
    )
    bias: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of training rows that every bias of the plan plants; null: the plan's",
    )
    drift: float | None = Field(
        None, ge=0, le=1, description="share of an experience's training rows that drift; null: the plan's"
    )
    noise: float | None = Field(
        None, ge=-20, le=80, description="signal-to-noise ratio of all rows in dB; null: the plan's range"
    )
    overlap: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of rows in an experience drawn without regard to class; null: the plan's",
    )
    imbalance: float | None = Field(
        None, ge=1, le=1000, description="ratio of every imbalance of the plan; null: the plan's"
    )
    n_train: int | None = Field(None, ge=1, le=100_000, description="training rows of each class; null: the plan's")
    n_valid: int | None = Field(None, ge=1, le=100_000, description="validation rows of each class; null: the plan's")
    n_test: int | None = Field(None, ge=1, le=100_000, description="test rows of each class; null: the plan's")
    seed: int = Field(0, ge=0, description="of everything that is drawn; not the run's seed")
    workers: int = Field(2, ge=1, le=64, description="speaking processes; the sound does not depend on it")

    @model_validator(mode="after")
    def _a_whole_plan(self) -> WorldConfig:
        self.made()
        return self

    def made(self) -> Plan:
        """The plan with strengths and counts as the fields say. Raises PlanError."""
        given = {"train": self.n_train, "valid": self.n_valid, "test": self.n_test}
        document = plan.written(self.plan)
        if isinstance(document.get("rows", {}), Mapping):
            document["rows"] = {**document.get("rows", {}), **{s: n for s, n in given.items() if n is not None}}
        strengths = {name: getattr(self, name) for name in ("bias", "drift", "noise", "overlap", "imbalance")}
        return plan.at_strengths(plan.read(document), **strengths)


@dataclass(frozen=True)
class World:
    """The rows that a Config draws."""

    plan: Plan
    rows: Sequence[Row]

    def of(self, split: str) -> list[Row]:
        return [row for row in self.rows if row.utterance.split == split]

    @cached_property
    def splits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.utterance.split for row in self.rows))

    @cached_property
    def checksum(self) -> str:
        """Of all labels and of all that decides how each row sounds."""
        return recordings.digest([[*_sound(row), row.label, row.experience, row.is_target] for row in self.rows])

    def numbers(self, split: str, name: Literal["label", "experience", "is_target"]) -> Tensor:
        """That field of the rows of a split, [N] int64."""
        return torch.tensor([int(getattr(row, name)) for row in self.of(split)], dtype=torch.int64)


def world(config: WorldConfig, root: Path | None, name: str, *, unbiased: int = 0) -> World:
    """The rows of a Config's plan. Raises DataError for a data root, where the drawn set does not have what the plan
    declares, and where an experience has no row of a split.
    """
    if root is not None:
        raise DataError(f"spoken_world/{name} is generated and reads no files: leave --data-root out")
    made = config.made()
    rows = draw.draw(made, config.seed, unbiased=unbiased)
    wrong = associations.faults(associations.declared(made, rows, config.seed))
    for split, k in itertools.product(SPLITS, range(made.experiences)):
        if not any(row.utterance.split == split and row.experience == k for row in rows):
            wrong.append(f"experience {k} has no {split} row: raise data.options.n_{split}")
    refuse(f"the plan of spoken_world/{name}", wrong)
    return World(made, rows)


def check(config: WorldConfig, root: Path | None) -> dict[str, Any]:
    """What ``suites data check`` prints and draws (:func:`.associations.described`)."""
    if root is not None:
        raise DataError("the spoken world is generated and reads no files: leave --data-root out")
    made = config.made()
    return associations.described(made, draw.draw(made, config.seed), config.seed)


def _sound(row: Row) -> list[Any]:
    u = row.utterance
    return [u.id, u.words, u.voice.name, u.synthesiser, u.rate, u.pitch, u.noise, u.room]


def content_of_sound(made: World, split: str) -> str:
    """A digest of all that decides how the rows of a split sound."""
    return recordings.digest([_sound(row) for row in made.of(split)])


def spoken(
    made: World, kind: Literal["log_mel", "spectrogram", "waveform"], workers: int, progress: Progress = None
) -> dict[str, Ragged]:
    """The sound of every split as a ragged column, through the cache; each split is an entry of its own, so that a
    strength that leaves the test rows as they are does not have them spoken again.
    """
    columns, done, total = {}, 0, len(made.rows)
    for split in made.splits:
        rows, before = made.of(split), done
        tick = None if progress is None else lambda k, _, before=before: progress(before + k, total)
        key = {"kind": "spoken world", "content": content_of_sound(made, split)}
        utterances = [row.utterance for row in rows]
        few = min(workers, 1 + len(rows) // ROWS_A_WORKER)
        columns[split] = corpus.spoken(utterances, key=key, features=kind, workers=few, progress=tick)[0]
        done += len(rows)
    return columns


def pictures(frames: Ragged, size: int) -> Tensor:
    """Spectrograms [T, 40] as images [N, 1, size, size] of bytes: bands upwards, time to the right, means of what falls
    on a pixel; 128 is the mean of the utterance, 0 and 255 lie 3 standard deviations below and above.
    """
    made = torch.empty(len(frames), 1, size, size, dtype=torch.uint8)
    for k in range(len(frames)):
        x = frames.values[frames.offsets[k] : frames.offsets[k + 1]].float()
        x = (x - x.mean()) / x.std(correction=0).clamp(min=1e-3)
        small = F.interpolate(x.T.flip(0)[None, None], (size, size), mode="area")[0]
        made[k] = (small / SPREAD * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    return made


def numbered(rows: Sequence[Row], factor: str, names: Sequence[str]) -> Tensor:
    """The number of each row's value among ``names``, [N] int64, -1 where it is none of them."""
    known = {name: k for k, name in enumerate(names)}
    return torch.tensor([known.get(str(row.values[factor]), -1) for row in rows], dtype=torch.int64)


def values(rows: Sequence[Row], factor: str) -> Tensor:
    """A measured factor as it is spoken (rate and pitch are whole numbers), [N] float64."""
    exact = [getattr(row.utterance, factor) for row in rows]
    return torch.tensor(exact, dtype=torch.float64)
