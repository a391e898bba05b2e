"""Copies of training texts that went through another language and back, by a provider.

``file``: paraphrases that were made elsewhere. ``hf_seq2seq``: two translation models in local folders.
``pivot_lexicon`` is no translation: phrases of a small table are said in other words, a stand-in for tests and offline
runs that must not be reported as back translation.
"""

from __future__ import annotations

import random
import warnings
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core import cache, texts
from ..core.source import DataInfo, require
from ..core.table import Table
from ..core.texts import TextInfo
from ..core.transforms import Rows
from . import paraphrases, pivot_lexicon, translation
from .copies import Alteration, Fields, altered_rows, chosen_fields


class Config(BaseModel):
    """Where paraphrases come from, and how many a text gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Literal["file", "hf_seq2seq", "pivot_lexicon"] = Field(
        "pivot_lexicon",
        description=(
            "file: paraphrases made elsewhere; hf_seq2seq: translation models in local folders; "
            "pivot_lexicon: a stand-in by a phrase table, which is no back translation"
        ),
    )
    copies: int = Field(1, ge=1, le=64, description="paraphrases of a text")
    fields: Fields = Field("both", description="which texts of a pair are paraphrased")
    file: str | None = Field(
        None, description='of file: JSON lines {"text" or "sha256": ..., "paraphrases": [...]}, by the exact text; .gz'
    )
    forward: str | None = Field(None, description="of hf_seq2seq: folder of the model into the other language")
    backward: str | None = Field(None, description="of hf_seq2seq: folder of the model back")
    sampling: Literal["beam", "top_k"] = Field(
        "beam", description="of hf_seq2seq: the best of a beam search, or draws of the top_k likeliest tokens"
    )
    beams: int = Field(4, ge=1, le=64, description="of beam: width, at least the copies")
    top_k: int = Field(10, ge=1, le=1000, description="of top_k: tokens that are drawn from")
    batch_size: int = Field(16, ge=1, le=1024, description="of hf_seq2seq: texts at once")
    longest: int = Field(256, ge=8, le=4096, description="of hf_seq2seq: tokens of a text at most, cut behind")
    write_to: str | None = Field(
        None, description="of hf_seq2seq: a file that the paraphrases are written to, for provider=file"
    )

    @model_validator(mode="after")
    def _settings(self) -> Config:
        if (self.provider == "file") != (self.file is not None):
            raise ValueError("provider: file and the field file belong together")
        models = self.forward is not None, self.backward is not None
        if models != ((self.provider == "hf_seq2seq"),) * 2:
            raise ValueError("provider: hf_seq2seq and both folders, forward and backward, belong together")
        if self.provider == "hf_seq2seq" and self.sampling == "beam" and self.beams < self.copies:
            raise ValueError(f"beams: {self.beams}, fewer than the copies ({self.copies})")
        if self.write_to is not None and self.provider != "hf_seq2seq":
            raise ValueError("write_to belongs to provider: hf_seq2seq")
        return self


def content(config: Config) -> str:
    """What the files hold that its settings name. Raises DataError where one is missing."""
    if config.file is not None:
        return paraphrases.content(config.file)
    if config.forward is not None and config.backward is not None:
        return cache.key_digest({"models": [translation.content(config.forward), translation.content(config.backward)]})
    return pivot_lexicon.VERSION


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """The originals of ``table`` and ``copies`` paraphrases of each; rows that are altered already stay as they are.

    A text without a paraphrase is copied as it is (``altered`` says nothing of that: the evaluator counts copies that
    equal their original). Raises DataError for rows that are no texts, and where the provider cannot be had.
    """
    facts = require(info, TextInfo, "the transform 'back_translation'")
    kind, known = texts.BACK_TRANSLATION, dict[str, list[str]]()
    if config.provider == "pivot_lexicon":
        kind = texts.OTHER
        warnings.warn(
            "back_translation with provider=pivot_lexicon says phrases in other words by a small table: a stand-in, "
            "no back translation",
            stacklevel=2,
        )
    elif config.provider == "file":
        assert config.file is not None
        known = paraphrases.of(config.file, _texts(config, table, facts))
    else:
        known = _translated(config, _texts(config, table, facts), seed)

    def alter(text: str, draws: random.Random) -> list[str]:
        if kind == texts.OTHER:
            return [pivot_lexicon.said_otherwise(text, draws) for _ in range(config.copies)]
        found = known.get(text, [])[: config.copies]
        return [*found, *[text] * (config.copies - len(found))]

    return altered_rows("back_translation", table, info, Alteration(kind, alter, fields=config.fields), seed)


def _texts(config: Config, table: Table, facts: TextInfo) -> list[str]:
    """The distinct texts of the original rows, in their order."""
    kinds = table.dense("altered")
    rows = torch.nonzero(kinds == texts.ORIGINAL).flatten()
    fields = chosen_fields("back_translation", facts, config.fields)
    found = [text for field in fields for text in texts.unpacked(table.columns[field], rows)]
    return [text for text in dict.fromkeys(found) if text.strip()]


def _translated(config: Config, sentences: list[str], seed: int) -> dict[str, list[str]]:
    assert config.forward is not None
    assert config.backward is not None
    made = translation.round_trip(
        sentences,
        config.forward,
        config.backward,
        translation.Decoding(
            copies=config.copies,
            beams=config.beams if config.sampling == "beam" else 1,
            top_k=config.top_k if config.sampling == "top_k" else None,
            batch_size=config.batch_size,
            longest=config.longest,
        ),
        seed,
    )
    if config.write_to is not None:
        paraphrases.write(config.write_to, made)
    return made
