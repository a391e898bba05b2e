"""Tables: any CSV with a numeric target column (``--data-root`` names its folder, or the file itself), or Friedman's
first function.

A file has a header, or none (then columns are ``0``, ``1``, ...). A column without a single number is a category and
becomes indicators; a column of numbers with a word in it is an error. Inputs are standardised by training rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..core import limits
from ..core.errors import DataError, refuse
from ..core.inputs import TableColumn, TableInputs
from ..core.source import RegressionInfo, ShotBins, Source
from ..readers.csv import SPLITS, number, split_of, target
from ..readers.tables import MISSING, column_of, read_table, table_file
from .regression import RegressionData, equal_bins, finish, seeded_split, standardise


class Config(RegressionData):
    """Which file and column; size of the stand-in."""

    file: str | None = Field(
        None, description="file under the data root; null: its only .csv, .tsv, .txt or .dat (also .gz)"
    )
    target: str = Field("last", description="name (or number from 0) of the target column; last")
    split_column: str | None = Field(None, description="column that says train, valid or test; null: a seeded split")
    drop: tuple[str, ...] = Field((), description="columns left out (identifiers)")
    header: bool | None = Field(None, description="whether the first line holds names; null: yes if it holds no number")
    delimiter: str | None = Field(
        None, description="null: tab, semicolon, comma or blanks, whichever the first line has"
    )
    missing: str = Field(
        "error",
        pattern="^(error|median)$",
        description="an empty input: error; or the training median, of categories a category of its own",
    )
    valid: float = Field(0.15, gt=0, lt=0.5, description="share of validation rows in a seeded split")
    test: float = Field(0.15, gt=0, lt=0.5, description="share of test rows in a seeded split")
    max_rows: int | None = Field(None, ge=20, description="rows used at most, drawn by seed")
    n_train: int = Field(1000, ge=20, le=1_000_000, description="stand-in: training rows")
    n_test: int = Field(500, ge=10, le=1_000_000, description="stand-in: test rows, as many for validation")
    noise: float = Field(
        1.0, ge=0, description="stand-in: standard deviation of the noise on training and other labels"
    )


def load(
    config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None
) -> Source[RegressionInfo]:
    """The table under ``root``, or the stand-in. Raises DataError for what can be put right in the file or the
    options.
    """
    if root is None:
        return stand_in(config)
    names, rows = read_table(table_file(root, config.file), config.delimiter, config.header)
    return from_rows(config, names, rows)


def stand_in(config: Config) -> Source[RegressionInfo]:
    """Friedman-1: y = 10 sin(π x0 x1) + 20 (x2 - 0.5)² + 10 x3 + 5 x4 + noise, ten uniform inputs of which five
    count.
    """
    splits = {}
    for split, count in (("train", config.n_train), ("valid", config.n_test), ("test", config.n_test)):
        g = np.random.default_rng([config.seed, SPLITS.index(split)])
        x = g.uniform(size=(count, 10))
        y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
        splits[split] = (x, y + config.noise * g.normal(size=count))
    columns = tuple(TableColumn(name=f"x{k}") for k in range(10))
    return _finish(config, splits, "stand-in", "y", columns)


def _finish(
    config: Config,
    splits: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    source: str,
    name: str,
    columns_in: tuple[TableColumn, ...],
) -> Source[RegressionInfo]:
    if not len(splits["train"][0]):
        raise DataError("there is no row in the split 'train'")
    mean, std = standardise(splits["train"][0])
    columns = {
        split: {"x": torch.from_numpy((x - mean) / std).float(), "label": torch.from_numpy(y)}
        for split, (x, y) in splits.items()
    }
    label = columns["train"]["label"]
    integers = bool((label == label.round()).all()) and float(label.max() - label.min()) <= 200
    shots = ShotBins(many_above=100, few_below=20) if integers else equal_bins(label)
    inputs = TableInputs(
        columns=columns_in,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        header=config.header,
        delimiter=config.delimiter,
    )
    info = RegressionInfo(modality="table", input_shape=(len(mean),), label_name=name, shots=shots, inputs=inputs)
    return finish(config, columns, info, source)


def from_rows(config: Config, names: list[str], rows: list[tuple[str, list[str]]]) -> Source[RegressionInfo]:
    """The Source of a table that was read."""
    at = column_of(names, config.target, "data.options.target")
    left_out = {at, *(column_of(names, name, "data.options.drop") for name in config.drop)}
    split_at = (
        None if config.split_column is None else column_of(names, config.split_column, "data.options.split_column")
    )
    if split_at is not None:
        left_out.add(split_at)
    if config.max_rows is not None and len(rows) > config.max_rows:
        keep = np.sort(np.random.default_rng([config.seed, 7]).choice(len(rows), config.max_rows, replace=False))
        rows = [rows[i] for i in keep]
    faults: list[str] = []
    if rows and all(number(row[at]) is None for _, row in rows):
        numeric = [name for k, name in enumerate(names) if k not in left_out and number(rows[0][1][k]) is not None]
        example = f", for example data.options.target={numeric[-1]}" if numeric else ""
        listed = ", ".join(numeric[:20]) or "none"
        raise DataError(
            f"the target column '{names[at]}' holds text ('{rows[0][1][at][:40]}'), and a regression needs numbers; "
            f"name another with data.options.target=NAME{example}; columns of numbers: {listed}"
        )
    y = np.array([target(row[at], where, names[at], faults) for where, row in rows])
    if split_at is None:
        parts = {k: v.numpy() for k, v in seeded_split(len(rows), config.seed, config.valid, config.test).items()}
    else:
        said = np.array([split_of(row[split_at], where, faults) for where, row in rows])
        parts = {name: np.flatnonzero(said == name) for name in SPLITS}
    inputs: list[NDArray[np.float64]] = []
    columns: list[TableColumn] = []
    for k, name in enumerate(names):
        if k not in left_out:
            column, values = _column(config, name, [(where, row[k]) for where, row in rows], parts["train"], faults)
            columns.append(column)
            inputs += values
    refuse("the table", faults)
    if not inputs:
        raise DataError("the table has no input column besides its target")
    x = np.stack(inputs, 1)
    splits = {name: (x[rows_], y[rows_]) for name, rows_ in parts.items()}
    source = _finish(config, splits, "real", names[at], tuple(columns))
    return replace(source, random_split=split_at is None)


def _column(
    config: Config, name: str, cells: list[tuple[str, str]], train: NDArray[Any], faults: list[str]
) -> tuple[TableColumn, list[NDArray[np.float64]]]:
    """What is kept of a column of text, and its input columns [N]: itself where it is numeric, an indicator for each
    training category otherwise.
    """
    empty = np.array([text.lower() in MISSING for _, text in cells])
    values = [None if gone else number(text) for (_, text), gone in zip(cells, empty, strict=True)]
    if all(v is None for v in values):
        if config.missing == "error":
            faults += [
                f"{where}: no value in column '{name}'; data.options.missing=median makes it a category of its own"
                for (where, _), gone in zip(cells, empty, strict=True)
                if gone
            ]
        words = sorted({cells[i][1] for i in train})
        limits.require(20 * len(words) * len(cells), f"column '{name}': {len(words)} categories of {len(cells)} rows")
        column = TableColumn(name=name, words=tuple(words), missing=config.missing != "error")
        return column, [np.array([float(text == word) for _, text in cells]) for word in words]
    for (where, text), value, gone in zip(cells, values, empty, strict=True):
        if gone and config.missing == "error":
            faults.append(f"{where}: no value in column '{name}'; set data.options.missing=median to fill it in")
        elif not gone and value is None:
            faults.append(
                f"{where}: '{text[:40]}' in the numeric column '{name}'; correct it or leave the "
                "column out with data.options.drop"
            )
        elif value is not None and not np.isfinite(value):
            faults.append(f"{where}: {text} in column '{name}'")
    array = np.array([np.nan if v is None else v for v in values])
    known = array[train][~np.isnan(array[train])]
    fill = float(np.median(known)) if len(known) else 0.0
    array[np.isnan(array)] = fill
    return TableColumn(name=name, fill=None if config.missing == "error" else fill), [array]
