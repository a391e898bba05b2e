"""Attributes from the cells of a user's table: what is a number, what a class, and in which space it should be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..core.contrast import Attribute, Space
from ..core.errors import DataError
from ..readers.csv import number
from ..readers.tables import MISSING

MOST_CLASSES = 20  # different numbers above which a column is a number, and below which each is a class


def attributes_of(
    cells: Mapping[str, Sequence[str]], target: Sequence[int], common: Collection[str], salient: Collection[str]
) -> tuple[list[Attribute], list[dict[str, str | float | None]]]:
    """The attributes of a table, and their values row by row (None: missing).

    ``cells``: column -> text of each row; ``target``: 1 or 0 of each row. A column of more than :data:`MOST_CLASSES`
    different numbers is a number, any other holds classes. It is salient where no background row has a value, else
    common, unless ``common`` or ``salient`` names it. A column without a value is left out. Raises DataError for a name
    in both, or of no column, and for a number that is not finite.
    """
    twice, unknown = sorted(set(common) & set(salient)), sorted({*common, *salient} - set(cells))
    if twice or unknown:
        what = f"{', '.join(twice)} in both" if twice else f"no column {', '.join(unknown)}"
        raise DataError(f"data.options.common and salient: {what} (there are: {', '.join(cells) or 'none'})")
    attributes, values = [], [dict[str, str | float | None]() for _ in target]
    for name, texts in cells.items():
        known = [text if text.lower() not in MISSING else None for text in texts]
        words = sorted({text for text in known if text is not None})
        if not words:
            continue
        only = all(text is None for text, member in zip(known, target, strict=True) if not member)
        space: Space = "salient" if name in salient or (only and name not in common) else "common"
        numbers = [number(word) for word in words]
        numeric = len(words) > MOST_CLASSES and all(v is not None for v in numbers)
        if numeric and not np.isfinite([v for v in numbers if v is not None]).all():
            raise DataError(f"the column '{name}' holds numbers that are not finite")
        classes = None if numeric else tuple(words)
        attributes.append(Attribute(name, f"attribute_{name}", space, classes, target_only=only))
        for row, text in zip(values, known, strict=True):
            row[name] = None if text is None else float(text) if numeric else text
    return attributes, values
