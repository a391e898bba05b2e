"""Rows of texts and altered copies of them: what the transforms that make texts have in common."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ..core import texts
from ..core.errors import DataError
from ..core.seeds import derive
from ..core.source import DataInfo, require
from ..core.table import Table
from ..core.texts import TextInfo
from ..core.transforms import Rows

Fields = Literal["both", "first", "second"]


@dataclass(frozen=True)
class Alteration:
    """How texts are altered.

    ``kind``: the number of the column ``altered``. ``alter(text, draws)``: the copies of one text. ``original(text)``:
    what stands in the original's row. ``keep_original``: False leaves the originals out. ``fields``: which texts of a
    pair change (``second``: all but the first, of a choice task every alternative); the others are copied.
    """

    kind: int
    alter: Callable[[str, random.Random], Sequence[str]]
    original: Callable[[str], str] = str
    keep_original: bool = True
    fields: Fields = "both"


def altered_rows(name: str, table: Table, info: DataInfo, alteration: Alteration, seed: int) -> Rows:
    """All rows of ``table`` in their order, then the first copy of each original, the second, ...

    Copies have the label, the source and all other columns of their original; rows that are altered already are left
    alone. A text draws from a generator of its own, by ``seed``, its field and itself: what other rows there are
    changes nothing. Raises DataError for rows that are no texts, or have no second one.
    """
    facts = require(info, TextInfo, f"the transform '{name}'")
    chosen = chosen_fields(name, facts, alteration.fields)
    columns = {field: texts.unpacked(table.columns[field]) for field in facts.fields}
    kinds = table.dense("altered")
    sources = torch.nonzero(kinds == texts.ORIGINAL).flatten()
    made = {field: list(_copies(columns[field], sources.tolist(), field, alteration, seed)) for field in chosen}
    counts = [max(map(len, each)) for each in zip(*made.values(), strict=True)]

    picks = list(range(len(table))) if alteration.keep_original else torch.nonzero(kinds != texts.ORIGINAL).flatten()
    origin, number = list(map(int, picks)), [-1] * len(picks)
    for copy in range(max(counts, default=0)):
        for row, count in zip(sources.tolist(), counts, strict=True):
            if copy < count:
                origin.append(row)
                number.append(copy)
    place = {row: k for k, row in enumerate(sources.tolist())}

    def text(field: str, row: int, copy: int) -> str:
        if copy < 0:
            return alteration.original(columns[field][row]) if row in place else columns[field][row]
        copies = made[field][place[row]] if field in made else ()
        return copies[copy] if copy < len(copies) else columns[field][row]

    rows = torch.tensor(origin, dtype=torch.int64)
    new = dict(table.take(rows).columns)
    for field in facts.fields:
        new[field] = texts.packed([text(field, row, copy) for row, copy in zip(origin, number, strict=True)])
    new["altered"] = torch.where(torch.tensor(number) >= 0, alteration.kind, kinds[rows])
    return Rows(Table(new), rows)


def chosen_fields(name: str, facts: TextInfo, fields: Fields) -> tuple[str, ...]:
    """The text columns that ``fields`` means. Raises DataError for the second of single texts."""
    if fields == "both":
        return facts.fields
    if fields == "first":
        return facts.fields[:1]
    if len(facts.fields) < 2:
        raise DataError(f"the transform '{name}': fields: second, and these rows have one text each")
    return facts.fields[1:]


def _copies(
    column: Sequence[str], rows: Sequence[int], field: str, alteration: Alteration, seed: int
) -> Iterator[Sequence[str]]:
    seen: Counter[str] = Counter()
    for row in rows:
        text = column[row]
        draws = random.Random(derive(seed, f"{field}/{seen[text]}/{text}"))
        seen[text] += 1
        yield alteration.alter(text, draws)
