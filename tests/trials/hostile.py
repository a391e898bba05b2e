"""The trials of hostile inputs: drawn by the seed from all that there are."""

from __future__ import annotations

from pathlib import Path

from .hostile_values import Input, sampled
from .inputs import sources, tried
from .promises import Trial
from .workshop import Job, Workshop

SHARES = {"fields": 0.25, "options": 0.2, "recipes": 0.15, "data": 0.35, "environment": 0.05}


def jobs(shop: Workshop) -> list[Job]:
    """60 inputs of the small size, 1,400 nightly, 6,000 of the full one."""
    every, count = sources(shop.folder / "layouts"), shop.count(60, 1400, 6000)
    chosen: list[Input] = []
    for kind, inputs in every.items():
        if shop.wanted:
            chosen += [one for one in inputs if shop.wanted in one.name]
        else:
            first = [one for one in inputs if one.name.endswith(": whole")] if shop.size != "small" else []
            rest = [one for one in inputs if one not in first]
            chosen += first + sampled(rest, round(SHARES[kind] * count) - len(first), shop.draw(kind))
    return [(one.name, lambda place, one=one: _made(shop, one, place)) for one in chosen]  # type: ignore[misc]


def _made(shop: Workshop, one: Input, place: Path) -> Trial:
    return tried(one, place, shop.forks, shop.tools, shop.store)
