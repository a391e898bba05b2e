"""The sentences of the world as texts: as they are written, or as a recogniser hears them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from ..core import checksums, texts
from ..core.inputs import SentenceInputs
from ..core.source import Source
from ..core.table import Column, Ragged, Table
from ..core.texts import TextInfo
from ..spoken import grammar, recognition
from ..spoken.recognition import Errors
from . import draw, rows
from .associations import WIDTH, Declared, faults
from .rows import Progress, World, WorldConfig

EXAMPLES = 5  # sentences that ``suites data check`` shows


class Config(WorldConfig):
    """The plan of peft_world, and who writes the sentences down."""

    plan: str | dict[str, object] = Field("peft", description="as of the other data sets of the spoken world")
    text: Literal["written", "recognised"] = Field(
        "written", description="the sentences as they are, or with the errors of a recogniser, in all splits"
    )
    word_error_rate: float | None = Field(
        None, ge=0, le=1, description="of text: recognised, by the model of errors; null: 0.2, or the recogniser's own"
    )
    recogniser: str | None = Field(
        None, description="of text: recognised; folder of a CTC model of transformers that hears the spoken sentences"
    )

    @model_validator(mode="after")
    def _who_hears(self) -> Config:
        named = [name for name in ("word_error_rate", "recogniser") if getattr(self, name) is not None]
        if named and self.text == "written":
            raise ValueError(f"{named[0]}: nothing is recognised: set text: recognised, or leave it out")
        if len(named) == 2:
            raise ValueError("word_error_rate and recogniser exclude each other: a recogniser has a rate of its own")
        return self

    @property
    def rate(self) -> float:
        """The word error rate of the model of errors."""
        return 0.2 if self.word_error_rate is None else self.word_error_rate


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[TextInfo]:
    """Columns ``first`` (the text), ``label``, ``source_id`` and ``altered`` (0). Raises DataError as
    :func:`.rows.world`, and for a folder that holds no recogniser.
    """
    made = rows.world(config, root, "sentences")
    said, _ = _texts(config, made, progress)
    tables, number = {}, 0
    for split in made.splits:
        n = len(said[split])
        columns: dict[str, Column] = {"first": texts.packed(said[split]), "label": made.numbers(split, "label")}
        columns["source_id"] = torch.arange(number, number + n)
        columns["altered"] = torch.full((n,), texts.ORIGINAL)
        tables[split], number = Table(columns), number + n
    names = made.plan.classes
    info = TextInfo(classes=len(names), fields=("first",), inputs=SentenceInputs(columns=("first",), names=("text",)))
    return Source(tables, names, info, "stand-in", _checksum(tables, names))


def _texts(config: Config, made: World, progress: Progress = None) -> tuple[dict[str, list[str]], dict[str, Errors]]:
    """The texts by split, and the errors that the model of errors made in each (empty without it)."""
    written = {split: [row.utterance.words for row in made.of(split)] for split in made.splits}
    if config.text == "written":
        return written, {}
    if config.recogniser is not None:
        from ..spoken import recogniser

        folder = Path(config.recogniser).expanduser()
        recogniser.content(folder)  # a folder that is none is an error before anything is spoken
        sound = rows.spoken(made, "waveform", config.workers, progress)
        digests = {split: rows.content_of_sound(made, split) for split in made.splits}
        return {s: recogniser.recognised(sound[s], folder, digests[s], progress) for s in made.splits}, {}
    model = recognition.ErrorModel(grammar.vocabulary())
    heard: dict[str, list[str]] = {}
    planted: dict[str, Errors] = {}
    for split in made.splits:
        each = [
            model.heard(u.words, config.rate, grammar.random_of(config.seed, "recognition", u.id))
            for u in (row.utterance for row in made.of(split))
        ]
        heard[split] = [text for text, _ in each]
        planted[split] = sum((errors for _, errors in each), Errors())
    return heard, planted


def _checksum(tables: Mapping[str, Table], names: Sequence[str]) -> str:
    """sha256 of the classes' names and all values of all columns."""

    def parts() -> Iterator[checksums.Part]:
        for split, table in tables.items():
            for name, column in table.columns.items():
                for part in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
                    yield f"{split}/{name}", part

    return checksums.checksum(parts(), "\n".join(names))


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """What ``suites data check`` prints (:func:`.associations.described`), and of recognised texts ``recognised``: the
    errors of each split by the alignment with the fewest, and examples. What the model of errors did is held against
    the declared word error rate. Raises DataError as :func:`load`.
    """
    document = rows.check(config, root)
    if config.text == "written":
        return document
    plan = config.made()
    made = World(plan, draw.draw(plan, config.seed))
    heard, planted = _texts(config, made)
    splits, examples = [], []
    for split in made.splits:
        written = [row.utterance.words for row in made.of(split)]
        pairs = list(zip(written, heard[split], strict=True))
        found = recognition.measured(written, heard[split])
        wrong = sum(a != b for a, b in pairs) / len(pairs)
        splits.append({"split": split, **asdict(found), "word_error_rate": found.rate, "sentences_with_errors": wrong})
        examples += [{"written": a, "recognised": b} for a, b in pairs if split == "train" and a != b][:EXAMPLES]
    document["recognised"] = {"splits": splits, "examples": examples}
    planned = [_declared(config.rate, split, errors) for split, errors in planted.items()]
    document["declared"] += [{**asdict(one), "holds": one.holds} for one in planned]
    document["faults"] += faults(planned)
    return document


def _declared(rate: float, split: str, made: Errors) -> Declared:
    """The errors a word that were made in a split beside those declared; a row is a word."""
    one, more = recognition.SUBSTITUTED + recognition.DELETED, recognition.INSERTED
    variance = sum(rate * share * (1 - rate * share) for share in (one, more))
    words = max(1, made.words)
    tolerance = WIDTH * math.sqrt(variance / words) + 1 / words
    return Declared(f"errors a word of the {split} sentences (rows: words)", rate, made.rate, tolerance, made.words)
