"""Whether a claim holds: from the values of two methods on the same seeds to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...analysis.statistics import Difference
    from ..config.evidence import Claim

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
LEVEL = 0.05


def tested(better: Mapping[Any, float], than: Mapping[Any, float], higher: bool, overlap: float) -> Difference:
    """The paired difference by which ``better`` is the better one (above 0: better, whichever way the metric goes)."""
    from ...analysis.statistics import paired

    sign = 1 if higher else -1
    return paired({k: sign * v for k, v in better.items()}, {k: sign * v for k, v in than.items()}, overlap)


def verdict(claim: Claim, difference: Difference) -> tuple[str, float]:
    """The verdict and its p.

    ``direction: better``: ``holds`` where the whole 95 % interval of the difference lies above the margin ``by``,
    ``does not hold`` where it lies below, else ``undecided``; p is that of the two-sided test that the difference is
    the margin. Equal on every seed is not better. ``direction: equal``: ``holds`` where two one-sided tests at 0.05
    put the difference within ±``by``, ``does not hold`` where the interval lies outside, p is the larger of the two.
    Below two seeds: ``undecided`` and NaN.
    """
    from ...analysis.equivalence import beyond, within

    if difference.n < 2 or not math.isfinite(difference.mean):
        return UNDECIDED, math.nan
    low, high = difference.mean - difference.half, difference.mean + difference.half
    if claim.direction == "equal":
        p = within(difference, claim.by)
        outside = low > claim.by or high < -claim.by
        return (HOLDS if p < LEVEL else FAILS if outside else UNDECIDED), p
    p = beyond(difference, claim.by)
    if low > claim.by:
        return HOLDS, p
    if high < claim.by or low == high == claim.by:
        return FAILS, p
    return UNDECIDED, p


def row(claim: Claim, difference: Difference | None, test: str, reason: str) -> dict[str, Any]:
    """A claim in the document of ``suites verify``; numbers that do not exist are None.

    ``reason``: why it was not tested as it asks; then the verdict is ``undecided``, whatever the numbers.
    """
    from ...analysis.statistics import smallest_detectable

    found, p = (UNDECIDED, math.nan) if difference is None else verdict(claim, difference)
    known = difference if difference is not None and difference.n else None
    interval = [known.mean - known.half, known.mean + known.half] if known and known.n > 1 else None
    return {
        "claim": claim.words,
        "verdict": UNDECIDED if reason else found,
        "effect": known.mean if known else None,
        "interval": interval,
        "p": None if math.isnan(p) else p,
        "n": known.n if known else 0,
        "smallest_detectable": smallest_detectable(known) if known and known.n > 1 else None,
        "source": claim.source or "ours",
        "whose": claim.whose,
        "metric": claim.metric,
        "better": claim.better,
        "than": claim.than,
        "direction": claim.direction,
        "by": claim.by,
        "where": list(claim.where),
        "test": test,
        "reason": reason or (_too_few(known) if found == UNDECIDED and difference is not None else ""),
    }


def _too_few(known: Difference | None) -> str:
    return "" if known is not None and known.n > 1 else "fewer than two seeds in common"


def reproduced(one: Mapping[str, Any]) -> str:
    """What a table says of a paper's claim that was tested here; empty of our own."""
    if one["whose"] != "paper":
        return ""
    return {HOLDS: "reproduced", FAILS: "not reproduced"}.get(one["verdict"], "neither reproduced nor refuted")
