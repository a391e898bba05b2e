"""Generated pairs of sentences: the second follows from the first, contradicts it, or neither.

Hypernyms, negation and numbers decide; a word deleted or swapped can turn the label, so that altered copies are not
always right.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from ..core.source import Source
from ..core.texts import TextInfo
from .rows import TextData
from .toy_sentiment import corpus, facts_of, no_root

KINDS = {
    "animals": ("dogs", "cats", "horses", "birds"),
    "people": ("boys", "girls", "doctors", "tourists"),
    "vehicles": ("cars", "boats", "bicycles", "trains"),
}
THINGS = {
    "tool": ("hammer", "saw", "brush", "shovel"),
    "food": ("soup", "cake", "bread", "apple"),
    "instrument": ("guitar", "drum", "piano", "flute"),
}
VERBS = ("carry", "find", "push", "lose", "take")
PLACES = ("in the forest", "at the beach", "on the road", "near the house", "in the room")
TIMES = ("at night", "in the rain", "every season")
NUMBERS = ("two", "three", "four", "five", "six")
CLASSES = ("entailment", "contradiction", "neutral")


class Config(TextData):
    """Size of the corpus."""

    rows: int = Field(2000, ge=60, le=200_000, description="rows, of which three in ten are the test")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[TextInfo]:
    """The corpus. Raises DataError for a root: there are no files of it."""
    no_root(root, "toy_nli")
    return corpus(config, config.rows, pair, "toy_nli", facts_of(CLASSES, ("premise", "hypothesis")))


def pair(draws: random.Random, label: int) -> tuple[str, str]:
    """Premise and hypothesis of the class ``label`` (entailment, contradiction, neutral)."""
    kind, group = draws.choice(list(KINDS)), draws.choice(list(THINGS))
    who, what = draws.choice(KINDS[kind]), draws.choice(THINGS[group])
    verb, place, number = draws.choice(VERBS), draws.choice(PLACES), draws.randrange(1, 4)
    premise = f"{NUMBERS[number]} {who} {verb} the {what} {place}"
    if label == 0:
        hypothesis = draws.choice(
            (
                f"{NUMBERS[number]} {kind} {verb} the {what}",
                f"{NUMBERS[number]} {who} {verb} some {group} {place}",
                f"at least {NUMBERS[number - 1]} {who} {verb} the {what}",
                f"some {kind} {verb} a {what} {place}",
            )
        )
    elif label == 1:
        hypothesis = draws.choice(
            (
                f"no {who} {verb} the {what} {place}",
                f"the {who} did not {verb} the {what}",
                f"exactly {NUMBERS[number + 1]} {who} {verb} the {what} {place}",
                f"nobody did {verb} any {group}",
            )
        )
    else:
        other = draws.choice([name for name in KINDS[kind] if name != who])
        hypothesis = draws.choice(
            (
                f"{NUMBERS[number]} {who} {verb} the {what} {draws.choice(TIMES)}",
                f"some {other} {verb} the {what} too",
                f"{NUMBERS[number]} {who} {verb} another {group} {place}",
                f"the {who} are old and {verb} the {what}",
            )
        )
    return f"{premise}.", f"{hypothesis}."
