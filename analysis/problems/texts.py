"""What the problems of decoding share: predicted tokens as texts, groups of questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.errors import DataError
from ...datasets.core.language import LanguageInfo
from ...datasets.core.source import require
from .evaluator import Data, MissingColumnError, Rows

Array = NDArray[Any]


def language(data: Data, problem: str, *columns: str) -> LanguageInfo:
    """The data's facts about its language. Raises DataError for other data, MissingColumnError for one that lacks a
    column that the problem measures by.
    """
    info = require(data.info, LanguageInfo, f"the problem '{problem}'")
    for split, part in data.splits.items():
        for column in columns:
            if column not in part.columns:
                raise MissingColumnError(
                    f"the split '{split}' has no column '{column}': the problem '{problem}' needs it "
                    "(data.options.questions chooses what a data set asks)"
                )
    return info


def written(tokens: Array, info: LanguageInfo) -> list[tuple[list[int], bool]]:
    """Predicted tokens [B, T] as texts: up to the first end or padding, and whether the text has ended."""
    found = []
    for row in np.asarray(tokens).tolist():
        ended = info.eos in row
        text = row[: row.index(info.eos)] if ended else row
        found.append((text[: text.index(info.pad)] if info.pad in text else text, ended))
    return found


def texts_of(part: Any, column: str, rows: Rows, info: LanguageInfo) -> list[list[int]]:
    """A ragged column of the rows [B] as lists of tokens, without begin, end and padding."""
    values, offsets = part.columns[column].values, part.columns[column].offsets.tolist()
    special = {info.pad, info.bos, info.eos}
    return [[t for t in values[offsets[r] : offsets[r + 1]].tolist() if t not in special] for r in rows.tolist()]


def in_groups(part: Any, info: LanguageInfo, rows: Rows) -> Iterator[tuple[str, Array]]:
    """Name of each group that has rows here, with where they are among ``rows`` [B] (bool [B])."""
    if not info.groups or "group" not in part.columns:
        return
    numbers = part.columns["group"].numpy()[rows]
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(info.groups):
        raise DataError(f"the column 'group' must hold numbers 0 to {len(info.groups) - 1}")
    for number, name in enumerate(info.groups):
        if (numbers == number).any():
            yield name, numbers == number


class Means:
    """Sums and counts by name; ``measures`` are their means."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, values: Any) -> None:
        """Numbers [n] of a name, one by one, so that batches of any size give the same sum."""
        for value in np.asarray(values, np.float64).reshape(-1).tolist():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def measures(self) -> Mapping[str, float]:
        return {name: total / self.counts[name] for name, total in self.sums.items()}
