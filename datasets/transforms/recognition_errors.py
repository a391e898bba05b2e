"""Copies of texts with the errors of a recogniser of speech, by a model that confuses words that sound alike."""

from __future__ import annotations

import random

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core import texts
from ..core.errors import DataError
from ..core.source import DataInfo, require
from ..core.table import Table
from ..core.texts import TextInfo
from ..core.transforms import Rows
from ..spoken.recognition import ErrorModel
from .copies import Alteration, Fields, altered_rows

VERSION = 1
MOST_WORDS = 5000  # all pairs are compared, and each word is spoken once


class Config(BaseModel):
    """How often a word is wrong, and how many copies there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    word_error_rate: float = Field(
        0.2, ge=0, le=1, description="expected errors a word (datasets/spoken/recognition.py)"
    )
    copies: int = Field(1, ge=1, le=64, description="altered copies of a text")
    fields: Fields = Field("both", description="which texts of a pair are altered, each on its own draw")
    keep_original: bool = Field(True, description="originals stay beside their copies; false: copies alone")

    @model_validator(mode="after")
    def _one_for_one(self) -> Config:
        if not self.keep_original and self.copies != 1:
            raise ValueError("keep_original: false puts one altered text in the place of each: copies must be 1")
        return self


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """The originals of ``table`` and ``copies`` of each as a recogniser would write them down; its vocabulary are the
    words of these rows, in lower case. Rows that are altered already stay as they are.

    Copies have no other letters than lower case where a word was taken for another. Without the originals there is a
    column ``strength``, the word error rate. Raises DataError for rows that are no texts or have more than 5,000
    different words, and where the synthesiser that knows how words sound is missing.
    """
    facts = require(info, TextInfo, "the transform 'recognition_errors'")
    said = [text for field in facts.fields for text in texts.unpacked(table.columns[field])]
    words = {word for text in said for word in text.lower().split()}
    if len(words) > MOST_WORDS:
        raise DataError(f"the transform 'recognition_errors': {len(words)} different words, and {MOST_WORDS} at most")
    model = ErrorModel(words)

    def alter(text: str, draws: random.Random) -> list[str]:
        return [model.heard(text.lower(), config.word_error_rate, draws)[0] for _ in range(config.copies)]

    how = Alteration(texts.OTHER, alter, keep_original=config.keep_original, fields=config.fields)
    rows = altered_rows("recognition_errors", table, info, how, seed)
    if config.keep_original:
        return rows
    strength = torch.full((len(rows.table),), config.word_error_rate, dtype=torch.float64)
    return Rows(Table({**rows.table.columns, "strength": strength}), rows.origin)
