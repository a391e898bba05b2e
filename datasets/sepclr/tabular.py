"""Two tables of numbers, ``background.csv`` and ``target.csv``, with the same columns: the form in which contrastive
PCA is used.

Every column is an input but those that the options name: attributes, ``split`` (train, valid, test), ``group`` (a
patient, whose rows are in one split) and those left out. Inputs are standardised by training rows of both sets.
Without a data root: clusters of a site that both have, and of a sub-type that only the target has, in 30 turned
dimensions of which the site's vary most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..core.contrast import GROUPS, Attribute, ContrastInfo, contrast_source
from ..core.errors import DataError, refuse
from ..core.inputs import TableColumn, TableInputs
from ..core.paths import is_file_name
from ..core.seeds import derive
from ..core.source import Source, described
from ..core.table import Table
from ..readers.csv import number, split_of
from ..readers.tables import column_of, read_table
from .attributes import attributes_of
from .rows import Options, Row, columns_of, split_rows

SITES, TYPES, DIMENSIONS = 3, 4, 30
Array = NDArray[np.float64]


class Config(Options):
    """The files, and which of their columns are no inputs."""

    background: str = Field(
        "background.csv", description="file under the data root, of rows without the salient factor"
    )
    target: str = Field("target.csv", description="file under the data root, of rows with it")
    common: tuple[str, ...] = Field((), description="columns of attributes that both sets share; no inputs")
    salient: tuple[str, ...] = Field((), description="columns of attributes that only the target has; no inputs")
    split_column: str | None = Field(None, description="column that says train, valid or test; null: drawn by the seed")
    group_column: str | None = Field(None, description="column whose equal values are kept in one split (a patient)")
    drop: tuple[str, ...] = Field((), description="columns left out (identifiers)")
    delimiter: str | None = Field(
        None, description="null: tab, semicolon, comma or blanks, whichever the first line has"
    )


def stand_in(config: Config) -> Source[ContrastInfo]:
    """Rows x = R (site mean + sub-type mean + noise), R a rotation; background rows have no sub-type. ``age`` is a
    number along one direction that both sets share.
    """
    g = np.random.default_rng(derive(config.seed, "tabular/factors"))
    rotation = np.linalg.qr(g.normal(size=(DIMENSIONS, DIMENSIONS)))[0]
    sites, types = np.zeros((SITES, DIMENSIONS)), np.zeros((TYPES, DIMENSIONS))
    sites[:, :10], types[:, 10:20] = 3 * g.normal(size=(SITES, 10)), 1.5 * g.normal(size=(TYPES, 10))
    attributes = (
        Attribute("site", "site", "common", tuple("ABC")),
        Attribute("age", "age", "common"),
        Attribute("subtype", "subtype", "salient", tuple("1234"), target_only=True),
    )
    parts = {}
    for split, count in (("train", config.n_train), ("valid", config.n_valid), ("test", config.n_test)):
        g = np.random.default_rng(derive(config.seed, f"tabular/{split}"))
        target = np.repeat([0, 1], count)
        site, subtype = g.integers(0, SITES, 2 * count), np.where(target == 1, g.integers(0, TYPES, 2 * count), -1)
        age = g.uniform(20, 80, 2 * count)
        x = sites[site] + types[subtype] * target[:, None] + g.normal(size=(2 * count, DIMENSIONS))
        x[:, 20] += (age - 50) / 6
        columns = {"target": target, "site": site, "subtype": subtype, "age": age}
        parts[split] = (x @ rotation.T, {name: torch.from_numpy(value) for name, value in columns.items()})
    names = [TableColumn(name=f"x{k}") for k in range(DIMENSIONS)]
    return _finish(parts, attributes, names, "stand-in", config, random_split=False)


def _finish(
    parts: Mapping[str, tuple[Array, Mapping[str, Any]]],
    attributes: Sequence[Attribute],
    columns: Sequence[TableColumn],
    source: str,
    config: Config,
    random_split: bool,
) -> Source[ContrastInfo]:
    train = parts["train"][0]
    mean, std = (train.mean(0), train.std(0)) if len(train) else (np.zeros(len(columns)), np.ones(len(columns)))
    std = np.where(std > 1e-12, std, 1.0)
    tables = {s: Table({"x": torch.from_numpy((x - mean) / std).float(), **more}) for s, (x, more) in parts.items()}
    inputs = TableInputs(
        columns=tuple(columns), mean=tuple(mean.tolist()), std=tuple(std.tolist()), delimiter=config.delimiter
    )
    return contrast_source(tables, attributes, source, inputs=inputs, random_split=random_split)


def _read(config: Config, root: Path) -> tuple[list[str], list[tuple[int, str, list[str]]]]:
    """Names of the columns, and rows (set, place, cells) of both files."""
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder that holds background.csv and target.csv")
    rows: list[tuple[int, str, list[str]]] = []
    header: list[str] = []
    for member, file in enumerate((config.background, config.target)):
        if not is_file_name(file):
            raise DataError(f"data.options.{GROUPS[member]}: {file[:60]!a} is no file's name under {root}")
        names, own = read_table(root / file, config.delimiter, header=True, least=1)
        header = header or names
        if set(names) != set(header):
            odd = sorted(set(names) ^ set(header))
            raise DataError(
                f"{root / file}: both tables need the same columns, and one alone has {', '.join(odd[:10])}"
            )
        order = [names.index(name) for name in header]
        rows += [(member, where, [row[k] for k in order]) for where, row in own]
    return header, rows


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``x`` [N, D], ``target`` and ``attribute_NAME``. Raises DataError with what is wrong with the tables."""
    if root is None:
        return stand_in(config)
    names, rows = _read(config, root)

    def cells(name: str, option: str) -> list[str]:
        at = column_of(names, name, f"data.options.{option}")
        return [row[at] for _, _, row in rows]

    taken = {n: cells(n, o) for o in ("common", "salient") for n in getattr(config, o)}
    attributes, values = attributes_of(taken, [member for member, _, _ in rows], config.common, config.salient)
    faults: list[str] = []
    groups = cells(config.group_column, "group_column") if config.group_column is not None else [""] * len(rows)
    said = cells(config.split_column, "split_column") if config.split_column is not None else None
    splits = [split_of(t, rows[k][1], faults) for k, t in enumerate(said)] if said is not None else [""] * len(rows)
    for name in config.drop:
        column_of(names, name, "data.options.drop")
    inputs = [n for n in names if n not in {*taken, *config.drop, config.split_column, config.group_column}]
    if not inputs:
        raise DataError("the tables have no column of inputs besides those that the options name")
    x = np.zeros((len(rows), len(inputs)))
    for j, name in enumerate(inputs):
        at = names.index(name)
        for i, (_, where, row) in enumerate(rows):
            value = number(row[at])
            if value is None or not np.isfinite(value):
                hint = "correct it, or leave the column out with data.options.drop"
                faults.append(f"{where}: '{row[at][:40]}' in column '{name}' is no finite number; {hint}")
            x[i, j] = value if value is not None else 0.0
    refuse("the tables", faults)
    made = [Row(None, rows[k][0], groups[k], values[k], splits[k]) for k in range(len(rows))]
    numbers, drawn = split_rows(made, config)
    parts = {s: (x[own], columns_of([made[k] for k in own], attributes)) for s, own in numbers.items()}
    return _finish(parts, attributes, [TableColumn(name=n) for n in inputs], "real", config, random_split=drawn)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
