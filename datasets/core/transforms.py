"""Changes of rows between reader and model, made once and cached; and evaluation sets beside ``test``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor

from . import cache
from .errors import DataError
from .seeds import derive
from .source import DataInfo, Source
from .table import Column, Lazy, Ragged, Table

STORED = "rows.pt"


class Rows(NamedTuple):
    """What a transform makes of a table: M rows, and the row of that table which each comes from, [M] int64."""

    table: Table
    origin: Tensor


@dataclass(frozen=True)
class Transform:
    """One transform with its settings.

    ``apply(config, table, info, seed) -> Rows`` may change columns, add rows or leave some out; it draws from ``seed``
    alone, which is that of (``seed``, name, split). ``version`` is raised by whoever changes what it makes. ``content``
    identifies what the files hold that its settings name.
    """

    name: str
    apply: Callable[[Any, Table, DataInfo, int], Rows]
    config: BaseModel
    seed: int = 0
    version: int = 1
    content: str = ""

    @property
    def key(self) -> dict[str, Any]:
        """What its result depends on, but for the rows."""
        options = self.config.model_dump(mode="json")
        key = {"name": self.name, "version": self.version, "options": options, "seed": self.seed}
        return key | ({"content": self.content} if self.content else {})


def transformed(source: Source, transform: Transform, splits: Iterable[str]) -> Source:
    """``source`` with the rows of ``splits`` as the transform makes them. Raises DataError for a split that is not
    there, and where a row of training has its source in another split (:func:`check_sources`).
    """
    tables, info = dict(source.splits), source.info
    key = {**transform.key, "splits": sorted(splits)}
    for split in key["splits"]:
        rows = _made(transform, _split(source, split), info, source.checksum, split)
        tables[split] = rows.table
        info = info.with_rows(split, info, split, rows.origin)
    check_sources(tables, transform.name)
    drawn = {split: len(source.splits[split]) for split in key["splits"]} | dict(source.drawn)
    checksum = cache.key_digest({"of": source.checksum, **key})
    return replace(source, splits=tables, info=info, checksum=checksum, drawn=drawn)


def check_sources(tables: Mapping[str, Table], name: str) -> None:
    """Raises DataError where rows of ``train`` come from rows of another split: the column ``source_id``, where there
    is one, names the row that a row is made from.
    """
    ids = {split: table.dense("source_id") for split, table in tables.items() if "source_id" in table.columns}
    train = ids.pop("train", None)
    if train is None:
        return
    for split, others in ids.items():
        shared = train[torch.isin(train, others)].unique()
        if len(shared):
            first = ", ".join(map(str, shared[:5].tolist()))
            raise DataError(
                f"the transform '{name}': {len(shared)} sources of training rows are rows of '{split}' too (source_id "
                f"{first}): what is evaluated may not be trained on, nor any alteration of it"
            )


def with_set(
    source: Source, name: str, split: str, transforms: Iterable[Transform] = (), other: Source | None = None
) -> Source:
    """``source`` with one more split, ``name``: rows of its own ``split``, or of that of ``other``, as the transforms
    make them.

    Raises DataError where there is no such split, ``name`` is another one, or rows of ``other`` do not fit: other
    columns, shapes, types or classes than those of ``test``.
    """
    steps = list(transforms)
    if name in source.splits and (other is not None or steps or split != name):
        raise DataError(f"evaluate.sets.{name}: the data set has a split of this name: choose another name")
    origin = source if other is None else other
    table, info, checksum = _split(origin, split), origin.info, origin.checksum
    origin_rows: Tensor | None = None
    for step in steps:
        rows = _made(step, table, info, checksum, split)
        table, checksum = rows.table, cache.key_digest({"of": checksum, **step.key, "splits": [split]})
        origin_rows = rows.origin if origin_rows is None else origin_rows[rows.origin]
        info = origin.info.with_rows(split, origin.info, split, origin_rows)
    if other is not None:
        _same_kind(name, source, other, table)
        table = source.info.fitted(table, other.info)
    joined = source.info.with_rows(name, origin.info, split, origin_rows)
    sets = {**source.sets, name: checksum}
    return replace(source, splits={**source.splits, name: table}, info=joined, sets=sets)


def _split(source: Source, split: str) -> Table:
    if split not in source.splits:
        raise DataError(f"the data set has no split '{split}' (it has: {', '.join(source.splits)})")
    return source.splits[split]


def _same_kind(name: str, source: Source, other: Source, table: Table) -> None:
    """Raises DataError where rows of ``table`` are not of the kind that the source's test rows are."""
    where = f"evaluate.sets.{name}"
    if type(other.info) is not type(source.info):
        kinds = type(other.info).__name__, type(source.info).__name__
        raise DataError(f"{where}: its data set gives a {kinds[0]}, that of training a {kinds[1]}")
    if list(other.class_names) != list(source.class_names):
        strange = sorted(set(other.class_names) ^ set(source.class_names))
        what = f"; only one of them has: {', '.join(strange[:5])}" if strange else " or their order"
        raise DataError(f"{where}: its classes are not those of training{what}")
    for column, values in source.splits["test"].columns.items():
        if column not in table.columns:
            raise DataError(f"{where}: its rows have no column '{column}', which the test rows have")
        given, needed = _form(table.columns[column]), _form(values)
        if given != needed:
            raise DataError(f"{where}: the column '{column}' is {given}, and {needed} in the test rows")


def _form(column: Column) -> str:
    if isinstance(column, Lazy):
        kind, dtype, shape = "", column.dtype, column.shape
    elif isinstance(column, Ragged):
        kind, dtype, shape = "sequences of ", column.values.dtype, column.values.shape[1:]
    else:
        kind, dtype, shape = "", column.dtype, column.shape[1:]
    return f"{kind}{str(dtype).removeprefix('torch.')} {list(shape)}"


def _made(transform: Transform, table: Table, info: DataInfo, checksum: str, split: str) -> Rows:
    """The rows from the cache, else made and stored there, but for columns that stay as they are. Raises DataError
    where the transform makes none, or gives origins that are no rows of ``table``.
    """
    key = {"kind": f"transform {transform.name}", "of": checksum, "split": split, **transform.key}

    def build(folder: Path) -> None:
        seed = derive(transform.seed, f"transform/{transform.name}/{split}")
        rows = transform.apply(transform.config, table, info, seed)
        _check(transform.name, rows, len(table))
        columns = {name: _packed(column, table.columns.get(name), rows) for name, column in rows.table.columns.items()}
        torch.save({"columns": columns, "origin": rows.origin}, folder / STORED)

    stored = torch.load(cache.get_or_build(key, build) / STORED, weights_only=True)
    origin = stored["origin"]
    packed = stored["columns"].items()
    return Rows(Table({name: _unpacked(values, table.columns.get(name), origin) for name, values in packed}), origin)


def _packed(column: Column, before: Column | None, rows: Rows) -> Tensor | list[Tensor] | None:
    """A column as it is stored; copied, since of a part of a larger tensor torch would store the whole. None: rows of
    the column that was there before, which is not stored again.
    """
    if isinstance(column, Lazy):
        if not isinstance(before, Lazy) or column.content != before.content:
            raise DataError("a transform cannot make a column whose rows are made when they are asked for")
        return None
    if column is before and torch.equal(rows.origin, torch.arange(len(column))):
        return None
    return [column.values.clone(), column.offsets.clone()] if isinstance(column, Ragged) else column.clone()


def _unpacked(stored: Tensor | list[Tensor] | None, before: Column | None, origin: Tensor) -> Column:
    if isinstance(stored, list):
        return Ragged(*stored)
    if isinstance(stored, Tensor):
        return stored
    assert before is not None
    return before.take(origin) if isinstance(before, Lazy) else before


def _check(name: str, rows: Rows, n: int) -> None:
    origin = rows.origin
    if not len(rows.table):
        raise DataError(f"the transform '{name}' leaves no row")
    if origin.dtype != torch.int64 or origin.shape != (len(rows.table),):
        raise DataError(f"the transform '{name}' must name the origin of each of its {len(rows.table)} rows, as int64")
    if bool(((origin < 0) | (origin >= n)).any()):
        raise DataError(f"the transform '{name}' names origins outside 0..{n - 1}, the rows that it was given")
