"""Copies of training texts with replaced, inserted, swapped and deleted words (easy data augmentation).

Source: Wei & Zou, EDA, EMNLP 2019. ``strict_reference`` makes what the authors' code makes; without it an original
stays as it is, and copies that equal it are taken only where no others are left.
"""

from __future__ import annotations

import random
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core import texts
from ..core.source import DataInfo
from ..core.table import Table
from ..core.transforms import Rows
from . import synonyms as sources
from . import word_operations
from .copies import Alteration, Fields, altered_rows
from .word_operations import Synonyms


class Config(BaseModel):
    """How many copies of a text there are, how far they are from it, and where synonyms come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = Field(0.1, ge=0, le=1, description="share of a text's words that an operation changes; 0: none does")
    replace: float | None = Field(None, ge=0, le=1, description="the same of synonym replacement; null: alpha")
    insert: float | None = Field(None, ge=0, le=1, description="the same of random insertion; null: alpha")
    swap: float | None = Field(None, ge=0, le=1, description="the same of random swap; null: alpha")
    delete: float | None = Field(None, ge=0, le=1, description="probability of random deletion; null: alpha")
    copies: float = Field(
        4, gt=0, le=64, description="altered copies of a text; below 1: each of its four candidates with that share"
    )
    fields: Fields = Field("both", description="which texts of a pair are altered, each on its own draw")
    synonyms: sources.Provider = Field("lexicon", description=sources.PROVIDERS)
    synonyms_file: str | None = Field(None, description=sources.FILE)
    synonyms_backbone: str = Field("minilm", description="of embedding: minilm, or the folder of a model")
    strict_reference: bool = Field(
        False, description="as the authors' code: originals are cleaned too, copies may equal them"
    )
    keep_digits: bool = Field(False, description="digits stay (the authors' code makes them spaces)")
    keep_original: bool = Field(True, description="originals stay beside their copies; false: copies alone")

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if self.copies > 1 and self.copies != int(self.copies):
            raise ValueError(f"copies: a whole number, or one below 1, not {self.copies}")
        if self.strict_reference and self.keep_digits:
            raise ValueError("keep_digits: the authors' code (strict_reference) makes digits spaces")
        if not self.keep_original and self.copies != 1:
            raise ValueError("keep_original: false puts one altered text in the place of each: copies must be 1")
        sources.check(self.synonyms, self.synonyms_file)
        return self

    @property
    def rates(self) -> dict[Literal["replace", "insert", "swap", "delete"], float]:
        """The rate of each operation."""
        own = {"replace": self.replace, "insert": self.insert, "swap": self.swap, "delete": self.delete}
        return {name: self.alpha if rate is None else rate for name, rate in own.items()}  # type: ignore[misc]


def content(config: Config) -> str:
    """What the files hold that its settings name. Raises DataError where one is missing."""
    return sources.content(config.synonyms, config.synonyms_file, config.synonyms_backbone)


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """The originals of ``table`` and ``copies`` altered texts of each; rows that are altered already stay as they are.

    Without the originals there is a column ``strength``, alpha, by which the evaluator orders evaluation sets. Raises
    DataError for rows that are no texts, and for synonyms that cannot be had.
    """
    known = sources.provider(config.synonyms, config.synonyms_file, config.synonyms_backbone)

    def alter(text: str, draws: random.Random) -> list[str]:
        return copies_of(text, config, known, draws)

    def original(text: str) -> str:
        return word_operations.clean(text) or text if config.strict_reference else text

    how = Alteration(texts.EDA, alter, original, keep_original=config.keep_original, fields=config.fields)
    rows = altered_rows("eda", table, info, how, seed)
    if config.keep_original:
        return rows
    strength = torch.full((len(rows.table),), config.alpha, dtype=torch.float64)
    return Rows(Table({**rows.table.columns, "strength": strength}), rows.origin)


def copies_of(text: str, config: Config, known: Synonyms, draws: word_operations.Draws) -> list[str]:
    """The altered copies of one text, without the original; a text without a letter is copied as it is.

    As many as ``config.copies``, but for two cases of the authors' code: below 1 (any number of them), and in strict
    mode where operations with a rate of 0 leave fewer candidates.
    """
    cleaned = word_operations.clean(text, config.keep_digits)
    words = cleaned.split()
    whole = max(1, int(config.copies))
    if not words:
        return [text] * whole
    made = _candidates(words, config, known, draws)
    found = [word_operations.clean(copy, config.keep_digits) for copy in made]
    draws.shuffle(found)
    if not config.strict_reference:
        found.sort(key=lambda copy: copy.split() == words)  # stable: the others keep their random order
        found += [cleaned] * (whole - len(found))
    if config.copies < 1:
        share = config.copies / max(len(found), 1)
        return [copy for copy in found if draws.uniform(0, 1) < share]
    return found[:whole]


def _candidates(words: list[str], config: Config, known: Synonyms, draws: word_operations.Draws) -> list[str]:
    """Each operation's candidates: one in four of the copies and one more; beyond the authors' code as many as fill
    the number of copies where operations are left out.
    """
    rates = {name: rate for name, rate in config.rates.items() if rate > 0}
    each = word_operations.candidates(config.copies)
    if not config.strict_reference and rates:
        each = max(each, -(-int(config.copies) // len(rates)))
    made: list[str] = []
    for name, rate in rates.items():
        n = word_operations.changes(rate, len(words))
        for _ in range(each):
            if name == "replace":
                copy = word_operations.replace(words, n, known, draws)
            elif name == "insert":
                copy = word_operations.insert(words, n, known, draws)
            elif name == "swap":
                copy = word_operations.swap(words, n, draws)
            else:
                copy = word_operations.delete(words, rate, draws)
            made.append(" ".join(copy))
    return made


def eda(text: str, config: Config, known: Synonyms, draws: word_operations.Draws) -> list[str]:
    """The copies of ``text`` and, last, the original: cleaned in strict mode, else as it is."""
    cleaned = word_operations.clean(text)
    return [*copies_of(text, config, known, draws), (cleaned or text) if config.strict_reference else text]
