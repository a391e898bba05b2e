"""Copies of recordings spoken faster or slower: frames are interpolated in time, pitch and voice stay."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import DataError
from ..core.source import DataInfo, SpeechInfo, require
from ..core.table import Column, Ragged, Table
from ..core.transforms import Rows


class Config(BaseModel):
    """How fast the copies are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: tuple[float, ...] = Field(
        (0.9, 1.1), min_length=1, description="a copy for each, so many times as fast; 1 is the recording itself"
    )
    keep: bool = Field(True, description="whether the recordings themselves stay beside their copies")

    @field_validator("factors")
    @classmethod
    def _range(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0.25 <= value <= 4 for value in values):
            raise ValueError("a factor lies between 0.25 and 4")
        return values


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """N recordings (where ``keep``), then N for each factor f: log-mel frames [T, 40] become [round(T / f), 40]. All
    other columns are those of the recording. Raises DataError for waveforms and other data.
    """
    facts = require(info, SpeechInfo, "the transform 'tempo'")
    frames = table.columns["features"]
    if facts.features != "log_mel" or not isinstance(frames, Ragged):
        raise DataError("the transform 'tempo' takes log-mel frames, not waveforms")
    factors = ([1.0] if config.keep else []) + list(config.factors)
    rows = [frames.values[a:b] for a, b in zip(frames.offsets[:-1].tolist(), frames.offsets[1:].tolist(), strict=True)]
    origin = torch.arange(len(table)).repeat(len(factors))
    columns: dict[str, Column] = dict(table.without(frozenset({"features"})).take(origin).columns)
    columns["features"] = Ragged.from_list([_stretched(row, factor) for factor in factors for row in rows])
    return Rows(Table({name: columns[name] for name in table.columns}), origin)


def _stretched(row: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return row
    length = max(1, round(len(row) / factor))
    wide = F.interpolate(row.T[None].float(), size=length, mode="linear", align_corners=False)
    return wide[0].T.to(row.dtype)
