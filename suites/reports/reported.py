"""Published values beside what runs on real data gave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .compared import pm

if TYPE_CHECKING:
    from ..config.recipe import Recipe
    from .compared import Table


def beside(recipe: Recipe, document: Mapping[str, Any], overlap: float = 0.0) -> list[dict[str, Any]]:
    """Each published value of the recipe whose method was run on real data, with what was reproduced.

    ``verdict``: ``inside`` where it lies in the 95 % interval of the reproduced mean, ``outside``, or ``not
    comparable`` with the reason: another profile than ``paper``, a protocol that is known to differ, settings changed
    for this run, fewer than two seeds. Nothing for stand-in data: a published value says nothing of them.

    Args:
        document: of an invocation (``suites run --json``).
        overlap: n_test / n_train of random splits of one table.
    """
    from ...analysis.statistics import estimate

    if document["data"]["source"] != "real":
        return []
    rows = []
    for one in recipe.reported:
        runs = [run["metrics"] for run in document["runs"] if run["method"] == one.method and run["metrics"]]
        values = [m[one.metric] for m in runs if math.isfinite(m.get(one.metric, math.nan))]
        if not values:
            continue
        found = estimate(values, overlap)
        reason = _reason(recipe, document, found.n, one.differs)
        inside = abs(one.value - found.mean) <= found.half
        rows.append(
            {
                **one.model_dump(),
                "reproduced": found.mean,
                "half": None if math.isnan(found.half) else found.half,
                "n": found.n,
                "verdict": "not comparable" if reason else "inside" if inside else "outside",
                "reason": reason,
            }
        )
    return rows


def _reason(recipe: Recipe, document: Mapping[str, Any], n: int, differs: str) -> str:
    if document["profile"] != "paper":
        return f"these runs are of the profile {document['profile'] or 'none'}, not of paper"
    if differs:
        return differs
    if recipe.train.selection == "oracle":
        return "weights were chosen on test rows"
    return "one seed has no interval" if n < 2 else ""


def tables(rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The table for the screen; none where there is no row."""
    if not rows:
        return []
    shown = []
    for one in rows:
        half = math.nan if one["half"] is None else one["half"]
        said = f"{one['verdict']}: {one['reason']}" if one["reason"] else one["verdict"]
        behind = f"{one['source']} ({one['protocol']})"
        numbers = [f"{one['value']:g}", pm(one["reproduced"], half), str(one["n"])]
        shown.append([one["method"], one["metric"], *numbers, said, behind])
    title = "reported beside reproduced, mean ± half of the 95 % interval"
    return [(title, ["method", "metric", "reported", "reproduced", "seeds", "verdict", "source and protocol"], shown)]
