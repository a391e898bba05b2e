"""Generated sentences on one of four to six topics, with words of another topic among them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import Field

from ..core.source import Source
from ..core.texts import TextInfo
from .rows import TextData
from .toy_sentiment import corpus, facts_of, no_root

TOPICS = {
    "sport": ("team match goal coach league champion stadium season crowd", "win lose throw catch jump run"),
    "cooking": ("recipe sauce dough oven kitchen meal spice soup dish", "cook eat drink clean cut"),
    "weather": ("storm rain wind cloud sun temperature forecast evening sky", "rise fall begin dry break"),
    "travel": ("journey hotel flight beach luggage tourist map road boat", "carry walk find keep push"),
    "money": ("bank market price profit loss tax money share gain", "buy sell pay give need"),
    "health": ("doctor nurse patient disease drug pain hospital sleep heart", "help try rest ask use"),
}
PEOPLE = ("man", "woman", "child", "boy", "girl", "friend", "crowd")
DEGREES = ("often", "rarely", "slowly", "quickly", "always", "together")
ADJECTIVES = ("big", "small", "old", "new", "strong", "strange", "important", "hard", "whole", "real")
FORMS = (
    "the {person} will {degree} {verb} the {adjective} {first} and the {second}",
    "a {adjective} {first} is near the {second} so they {verb} it {degree}",
    "they think the {first} and a {adjective} {second} {degree} {verb} again",
    "we {degree} talk of the {first} when the {person} did {verb} the {adjective} {second}",
)


class Config(TextData):
    """Topics, size, and how clear the topics are."""

    topics: int = Field(4, ge=4, le=6, description="classes")
    rows: int = Field(2000, ge=60, le=200_000, description="rows, of which three in ten are the test")
    mixed: float = Field(0.2, ge=0, le=1, description="share of rows with a sentence part of another topic")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[TextInfo]:
    """The corpus. Raises DataError for a root: there are no files of it."""
    no_root(root, "toy_topic")
    names = tuple(TOPICS)[: config.topics]
    make = partial(sentence, names, config.mixed)
    return corpus(config, config.rows, make, "toy_topic", facts_of(names, ("text",)))


def sentence(names: tuple[str, ...], mixed: float, draws: random.Random, label: int) -> tuple[str]:
    """One sentence on the topic ``label``; a share ``mixed`` ends with a noun of another topic."""
    nouns, verbs = (part.split() for part in TOPICS[names[label]])
    first, second = draws.sample(nouns, 2)
    text = draws.choice(FORMS).format(
        person=draws.choice(PEOPLE),
        degree=draws.choice(DEGREES),
        verb=draws.choice(verbs),
        adjective=draws.choice(ADJECTIVES),
        first=first,
        second=second,
    )
    if draws.random() < mixed:
        other = draws.choice([name for k, name in enumerate(names) if k != label])
        text += f" beside the {draws.choice(TOPICS[other][0].split())}"
    return (text + ".",)
