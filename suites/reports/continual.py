"""What was learnt, kept and known ahead: the measures of the continual matrix beside a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric

MEASURES = ("plasticity", "stability", "generalisability", "forgetting")


def names(metric: str) -> list[str]:
    """The measures that stand beside ``metric`` (``accuracy/last``): of the same metric."""
    stem = metric.rpartition("/")[0]
    return [f"{stem}/{measure}" for measure in MEASURES]


def measured(
    values: Mapping[str, Mapping[str, Mapping[Any, float]]], declared: Mapping[str, Metric], overlap: float
) -> list[dict[str, Any]]:
    """Of each measure that some run has: name, direction, and by method mean, half of its 95 % interval, n. Nothing
    where no run has several experiences.

    Args:
        values: by full name, method and seeds (or splits).
        overlap: n_test / n_train of random splits of one table.
    """
    from ...analysis import statistics

    found = [
        {
            "metric": name,
            "higher_is_better": declared[name].higher_is_better,
            "methods": {m: asdict(statistics.estimate(list(v.values()), overlap)) for m, v in each.items()},
        }
        for name, each in values.items()
        if each
    ]
    return found if any(name.endswith("/plasticity") for name, each in values.items() if each) else []
