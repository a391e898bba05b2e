"""Generated rows in the form of RTE, BoolQ, COPA and WiC, two classes each."""

from __future__ import annotations

import random

from . import toy_nli

COLOURS = ("red", "green", "blue", "white")
OWNERS = ("doctor", "coach", "tourist", "nurse")
THINGS = ("car", "boat", "house", "coat", "bicycle")
CAUSES = {  # what happened, what it came from, what came of it
    "the street was wet": ("it began to rain", "the car began to slide"),
    "the man was tired": ("he did run all night", "he did go to sleep"),
    "the child was happy": ("she did win the game", "she began to laugh"),
    "the lamp was broken": ("the boy did throw a stone", "the room was dark"),
    "the soup was cold": ("it stood near the window", "they did heat it again"),
    "the shop was closed": ("it was late in the evening", "we did buy nothing"),
    "the dog was lost": ("the door was open", "the girl began to cry"),
    "the team was strong": ("they did train all season", "they did win the league"),
}
SENSES = {  # a word, and sentences in one meaning and in another
    "bank": (
        ("she took money from the {a} bank", "the {a} bank gave us a loan"),
        ("we sat on the {a} bank of the river", "the {a} bank was wet and green"),
    ),
    "bat": (
        ("he did swing the {a} bat", "the {a} bat broke in the match"),
        ("a {a} bat flew at night", "the {a} bat slept in the cave"),
    ),
    "spring": (
        ("the {a} spring of the sofa broke", "a {a} spring holds the door"),
        ("in the {a} spring the birds came back", "we met in a {a} spring"),
    ),
    "pitch": (
        ("the {a} pitch was too wet for the match", "they ran over the {a} pitch"),
        ("her voice has a {a} pitch", "the {a} pitch of the flute was wrong"),
    ),
}
ADJECTIVES = ("old", "new", "big", "small", "strange", "cold", "real", "important")


def entailed(draws: random.Random, label: int) -> tuple[str, str]:
    """A pair of :mod:`.toy_nli`: entailment (0), or one of the other two classes (1)."""
    return toy_nli.pair(draws, label if label == 0 else draws.choice((1, 2)))


def passage(draws: random.Random, label: int) -> tuple[str, str]:
    """A question and a passage of three facts that says no (0) or yes (1)."""
    owners, things = draws.sample(OWNERS, 3), draws.sample(THINGS, 3)
    colours = [draws.choice(COLOURS) for _ in owners]
    asked = draws.randrange(3)
    others = [colour for colour in COLOURS if colour != colours[asked]]
    colour = colours[asked] if label else draws.choice(others)
    facts = zip(owners, colours, things, strict=True)
    text = ". ".join(f"the {owner} has a {shade} {thing}" for owner, shade, thing in facts)
    return f"is the {things[asked]} of the {owners[asked]} {colour}", f"{text}."


def choice(draws: random.Random, label: int) -> tuple[str, str, str]:
    """A premise that ends in "because" or "so", and two alternatives of which number ``label`` is right."""
    premise = draws.choice(list(CAUSES))
    asked = draws.randrange(2)
    other = draws.choice([event for event in CAUSES if event != premise])
    wrong = CAUSES[other][draws.randrange(2)]
    right = CAUSES[premise][asked]
    pair = (right, wrong) if label == 0 else (wrong, right)
    opening = draws.choice(("that day", "last night", "in the morning", "again", "last season", "at the beach"))
    return f"{opening} {premise} {('because', 'so')[asked]}", f"{pair[0]}.", f"{pair[1]}."


def word_sense(draws: random.Random, label: int) -> tuple[str, str]:
    """Two sentences behind their word, which has two meanings in them (0) or one (1)."""
    word = draws.choice(list(SENSES))
    meanings = SENSES[word]
    first = draws.randrange(2)
    second = first if label else 1 - first
    one, two = draws.choice(meanings[first]), draws.choice(meanings[second])
    if one == two:
        two = next(text for text in meanings[second] if text != one)
    fill = [draws.choice(ADJECTIVES) for _ in range(2)]
    return f"{word}: {one.format(a=fill[0])}.", f"{word}: {two.format(a=fill[1])}."
