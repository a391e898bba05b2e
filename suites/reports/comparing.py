"""What ``compare`` of the Python API is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from ..runtime.asked import out_of


def compare(
    *targets: str | Path,
    metric: str | Sequence[str] | None = None,
    than: str | None = None,
    rope: float | None = None,
    order: bool = False,
    out: str | Path | None = None,
    suite: str | None = None,
    profile: str | None = None,
    latest: bool = False,
) -> dict[str, Any]:
    """Finished runs beside each other: means, differences on the same seeds with intervals and p values, the smallest
    difference that so many seeds could have shown; over several data sets ranks, interquartile means and win rates.

    Args:
        targets: invocations, runs, or folders of them; none: ``last``.
        metric: a name of the summary, or several; None: the problem's main metric after the last experience.
        than: a method to which all are compared; None: the best in the mean.
        rope: differences within ±rope count as none: rows that are not significant get a verdict on that.
        order: whether methods rank alike on different data: rank correlations of their orders in every pair of tasks
            (Kendall's τ, Spearman's ρ), with intervals over seeds.
        suite, profile, latest: those invocations of ``targets`` (none: all under ``out``) alone; of them the newest.
    """
    from ..runtime import folders
    from . import compare as reports

    if rope is not None and not 0 < rope < float("inf"):
        raise Fault.usage(f"a difference that counts as none is above 0, not {rope}", "--rope", "--rope 0.01")
    chosen = folders.selected([str(target) for target in targets], out_of(out), suite, profile, latest)
    return reports.compare(chosen, out_of(out), metric, than, rope, order)
