"""Confusion of intents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .classification import draw_confusion
from .figure import styled


@styled
def confusion(pairs: Mapping[tuple[str, str], int], path: Path, most: int = 30) -> None:
    """Counts of (gold, predicted) labels ``pairs``, rows normalised; predictions outside the gold labels share the
    column ``other``.

    With more than ``most`` labels the least frequent are left out.
    """
    from collections import Counter

    import numpy as np

    gold: Counter[str] = Counter()
    for (label, _), count in pairs.items():
        gold[label] += count
    names = sorted(label for label, _ in gold.most_common(most))
    columns = [*names, "other"]
    column = {name: i for i, name in enumerate(columns)}
    counts = np.zeros((len(names), len(columns)))
    for (label, said), count in pairs.items():
        if label in column:
            counts[column[label], column.get(said, len(names))] += count
    some = f", the {most} most frequent of {len(gold)}" if len(gold) > most else ""
    draw_confusion(counts, names, columns, f"scenarios: rows by true and predicted one{some}", "scenario", path)
