"""Generated reviews that praise or complain, of about fifteen words: opinion words, negation and neutral filler.

A clause with the wrong opinion may stand before "but"; then the clause behind it counts. The words are in the lexicon
of synonyms.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from ..core.errors import DataError
from ..core.inputs import SentenceInputs
from ..core.seeds import derive
from ..core.source import Source
from ..core.texts import TextInfo
from .rows import Example, Facts, TextData, finish

ASPECTS = ("film", "acting", "plot", "ending", "music", "scene", "dialogue", "script", "cast", "camera")
GOOD = (
    *("great", "good", "wonderful", "charming", "funny", "moving", "brilliant", "fresh"),
    *("gripping", "beautiful", "warm", "honest", "superb", "clever", "delightful", "inventive"),
)
BAD = (
    *("bad", "awful", "dull", "weak", "silly", "slow", "bland", "clumsy"),
    *("shallow", "annoying", "messy", "stale", "terrible", "boring", "pointless", "flat"),
)
DEGREES = ("really", "quite", "very", "truly", "rather", "almost", "surely")
STRENGTHS = ("really", "truly", "surely", "always")
PRAISE = ("love", "enjoy", "recommend", "like", "adore")
BLAME = ("hate", "dislike", "resent", "detest", "loathe")
FILLERS = (
    "i did watch it with my {who} last {when}",
    "it will run for {number} minutes",
    "my {who} did buy the phone for it",
    "we did find a place near the {where}",
    "the {where} was cold that {when}",
)
WHO = ("friend", "child", "coach", "doctor", "team")
WHEN = ("night", "season", "evening", "moment")
WHERE = ("house", "hotel", "road", "beach", "forest", "room")
NUMBERS = ("ninety", "eighty", "fifty", "forty")
CLASSES = ("negative", "positive")
TEST_SHARE = 0.3
TRIES = 200  # until a text is one that was not there before


class Config(TextData):
    """Size of the corpus."""

    rows: int = Field(2000, ge=40, le=200_000, description="rows, of which three in ten are the test")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[TextInfo]:
    """The corpus. Raises DataError for a root: there are no files of it."""
    no_root(root, "toy_sentiment")
    return corpus(config, config.rows, sentence, "toy_sentiment", facts_of(CLASSES, ("text",)))


def no_root(root: Path | None, name: str) -> None:
    """Raises DataError where a generated set is given a folder of data."""
    if root is not None:
        raise DataError(f"{name} is generated and reads no files: leave --data-root out, or set data.name=text")


def facts_of(classes: tuple[str, ...], names: tuple[str, ...]) -> Facts:
    """Of generated texts whose fields a user's file calls ``names``."""
    fields = ("first", "second")[: len(names)]
    return Facts(classes, fields, source="stand-in", inputs=SentenceInputs(columns=fields, names=names))


def corpus(
    config: TextData, rows: int, make: Callable[[random.Random, int], tuple[str, ...]], name: str, facts: Facts
) -> Source[TextInfo]:
    """``rows`` distinct texts of all classes in turn, ``make(draws, class)`` each; the last three in ten are the test.
    Fewer where the grammar has no more.
    """
    draws = random.Random(derive(config.seed, name))
    classes = len(facts.class_names)
    seen: set[tuple[str, ...]] = set()
    examples: list[Example] = []
    for k in range(rows):
        texts = next((t for t in (make(draws, k % classes) for _ in range(TRIES)) if t not in seen), None)
        if texts is not None:
            seen.add(texts)
            examples.append(Example(texts, k % classes))
    start = len(examples) - round(TEST_SHARE * len(examples))
    return finish(config, {"train": examples[:start], "test": examples[start:]}, facts)


def sentence(draws: random.Random, label: int) -> tuple[str]:
    """One review of the class ``label``."""
    parts = [_clause(draws, label)]
    if draws.random() < 0.25:
        parts = [f"{_clause(draws, 1 - label)} but {parts[0]}"]
    elif draws.random() < 0.5:
        parts.append(_clause(draws, label))
    filler = draws.choice(FILLERS).format(
        who=draws.choice(WHO), when=draws.choice(WHEN), where=draws.choice(WHERE), number=draws.choice(NUMBERS)
    )
    parts.insert(draws.randrange(2) * len(parts), filler)
    return (" and ".join(parts) + ".",)


def _clause(draws: random.Random, label: int) -> str:
    aspect = draws.choice(ASPECTS)
    words, verbs = (GOOD, PRAISE) if label else (BAD, BLAME)
    kind = draws.random()
    if kind < 0.55:
        return f"the {aspect} is {draws.choice(DEGREES)} {draws.choice(words)}"
    if kind < 0.75:
        return f"the {aspect} is not {draws.choice(BAD if label else GOOD)}"
    return f"i {draws.choice(STRENGTHS)} {draws.choice(verbs)} the {draws.choice(words)} {aspect}"
