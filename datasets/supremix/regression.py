"""What all regression data sets share: checked labels, few-data fractions, skewed training sets, seeded splits, fields
of their Config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..core import checksums
from ..core.errors import DataError
from ..core.seeds import generator
from ..core.source import RegressionInfo, ShotBins, Source
from ..core.store import taken
from ..core.table import Column, Ragged, Table
from ..readers.csv import SPLITS


class RegressionData(BaseModel):
    """Fields of every regression data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description=(
            "share of the training rows that every stage uses, drawn by seed (few data); scales and "
            "words are those of all training rows"
        ),
    )
    imbalanced: bool = Field(
        False,
        description=(
            "skew the training labels: rows are kept with probability exp(-decay · rank of the label in [0, 1])"
        ),
    )
    decay: float = Field(
        5.0, gt=0, le=50, description="of imbalanced: how fast the share of rows kept falls over the label's range"
    )
    many_above: int | None = Field(
        None, ge=0, description="a bin is many-shot with more training rows; null: the data set's own"
    )
    few_below: int | None = Field(
        None, ge=0, description="a bin is few-shot with fewer training rows; null: the data set's own"
    )
    seed: int = Field(0, ge=0, description="of the stand-in, the splits and the fraction; not the run's seed")


def seeded_split(n: int, seed: int, valid: float, test: float) -> dict[str, Tensor]:
    """Row numbers of train, valid and test: a permutation cut by shares; every split has a row where n allows it."""
    order = torch.randperm(n, generator=generator(seed, "split"))
    n_test, n_valid = max(1, round(test * n)), max(1, round(valid * n))
    return {"test": order[:n_test], "valid": order[n_test : n_test + n_valid], "train": order[n_test + n_valid :]}


def kept(config: RegressionData, label: Tensor) -> Tensor:
    """Training rows that ``imbalanced`` and ``fraction`` leave, ascending."""
    rows = torch.arange(len(label))
    if config.imbalanced:
        values = label.double()
        position = (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)
        draw = torch.rand(len(label), generator=generator(config.seed, "imbalance"), dtype=torch.float64)
        rows = rows[draw < torch.exp(-config.decay * position)]
    if config.fraction < 1:
        count = max(2, round(config.fraction * len(rows)))
        rows = rows[torch.randperm(len(rows), generator=generator(config.seed, "fraction"))[:count]].sort().values
    return rows


def finish(
    config: RegressionData, splits: Mapping[str, Mapping[str, Column]], info: RegressionInfo, source: str
) -> Source[RegressionInfo]:
    """The Source of checked splits: each is a mapping of columns with ``x`` and the float column ``label``.

    ``info.shots`` are the data set's own; the options ``many_above`` and ``few_below`` go before them. Raises
    DataError where a split is empty, fewer than two training rows are left, or the training labels are all the same.
    """
    tables = {}
    for name in SPLITS:
        columns = dict(splits[name])
        label = columns["label"]
        if not isinstance(label, Tensor):
            raise TypeError("labels are numbers")
        if not len(label):
            raise DataError(f"there is no row in the split '{name}'")
        if not bool(label.isfinite().all()):
            raise DataError(
                f"the split '{name}' has {int((~label.isfinite()).sum())} targets that are no finite number"
            )
        if name == "train":
            rows = kept(config, label)
            if len(rows) < 2:
                raise DataError(f"{len(rows)} training rows are left: a regression needs two or more")
            columns = {key: taken(column, rows) for key, column in columns.items()}
            if float(label[rows].min()) == float(label[rows].max()):
                raise DataError(
                    f"all {len(rows)} training targets are {float(label[rows[0]]):g}: there is nothing to learn"
                )
        columns["label"] = columns["label"].float()  # type: ignore[union-attr]
        tables[name] = Table(columns)
    shots = info.shots or ShotBins()
    if config.many_above is not None:
        shots = replace(shots, many_above=config.many_above)
    if config.few_below is not None:
        shots = replace(shots, few_below=config.few_below)
    # texts are data that no column holds; a stand-in's follow from its columns
    texts = json.dumps([info.pairs.texts, info.pairs.words]) if source == "real" and info.pairs is not None else ""
    return Source(tables, (), replace(info, shots=shots), source, checksum(tables, texts))


def checksum(tables: Mapping[str, Table], texts: str = "") -> str:
    """sha256 of ``texts`` and all values of all columns."""
    parts: list[checksums.Part] = []
    for name, table in tables.items():
        for key, column in table.columns.items():
            for part in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
                parts.append((f"{name}/{key}/{part.dtype}/{tuple(part.shape)}", part))
    return checksums.checksum(parts, texts)


def standardise(train: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the columns of training inputs [N, d] (1 for a constant column)."""
    std = train.std(0)
    return train.mean(0), np.where(std < 1e-12, 1.0, std)


def equal_bins(label: Tensor, n_bins: int = 50) -> ShotBins:
    """Bins of labels that are no integers: the range of the training labels [N] in ``n_bins`` parts."""
    low, high = float(label.min()), float(label.max())
    return ShotBins(origin=low, width=max((high - low) / n_bins, 1e-12), many_above=30, few_below=10)
