"""Classified texts: raw text as columns of bytes, and the facts that networks and evaluators read.

A text column is :class:`~.table.Ragged` of ``uint8``: the UTF-8 bytes of each row's text. Raw text is a column, not a
fact beside the table, so that transforms change it, caches keep it, and what a memory holds (rows) is raw text too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import DataError
from .source import DataInfo, Tokens
from .table import Column, Ragged

# Numbers of the column ``altered``: where a row's text comes from.
ORIGINAL, EDA, BACK_TRANSLATION, OTHER = 0, 1, 2, 3
ALTERATIONS = ("original", "eda", "back_translation", "other")


@dataclass(frozen=True, kw_only=True)
class TextInfo(DataInfo):
    """Classified texts: text columns ``fields``, and the columns ``label``, ``source_id`` and ``altered``.

    ``classes``: C, over all tasks. ``fields``: names of the text columns in their order: ``("first",)``, a pair
    ``("first", "second")``, or of a choice task ``("first", "second", "third")``, whose alternatives are the pairs
    (first, second) and (first, third), numbered by the label. ``choices``: alternatives of a row (2), or 0 where the
    classes have names of their own. ``tasks``: names by number in the column ``task``; empty: one task, no such
    column. ``task_classes``: the classes of each task. ``tokens``: None unless a network has prepared the data.
    """

    classes: int
    fields: tuple[str, ...] = ("first",)
    choices: int = 0
    tasks: tuple[str, ...] = ()
    task_classes: tuple[tuple[int, ...], ...] = ()
    tokens: Tokens | None = None


def packed(texts: Sequence[str]) -> Ragged:
    """The text column of ``texts``. Raises DataError for an empty list, and for text that has no UTF-8 form."""
    if not texts:
        raise DataError("a text column needs at least one row")
    rows = []
    for number, text in enumerate(texts):
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"row {number} holds half of a surrogate pair, which is no text: {error}") from error
        rows.append(torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8))
    return Ragged.from_list(rows)


def unpacked(column: Column, rows: Tensor | None = None) -> list[str]:
    """The texts of a text column, of ``rows`` [M] (None: all). Raises DataError for a column that is none."""
    if not isinstance(column, Ragged) or column.values.dtype != torch.uint8:
        raise DataError("a text column is ragged and holds the bytes of texts")
    data, offsets = column.values.numpy().tobytes(), column.offsets.tolist()
    picked = range(len(column)) if rows is None else rows.tolist()
    return [data[offsets[row] : offsets[row + 1]].decode(errors="replace") for row in picked]
