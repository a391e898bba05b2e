"""Easy data augmentation: cleaning and its four operations on lists of words, as the authors' code makes them.

Source: Wei & Zou, EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks, EMNLP
2019; the order of draws is that of their code, so that the same draws give the same words.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any, Protocol

Synonyms = Callable[[str], Sequence[str]]  # of one word; none where there is none


class Draws(Protocol):
    """What the operations draw from; ``random.Random`` is one."""

    def randint(self, a: int, b: int, /) -> int:
        """A whole number of a..b, both included."""
        ...

    def uniform(self, a: float, b: float, /) -> float:
        """A number of a..b."""
        ...

    def choice(self, values: Sequence[str], /) -> str:
        """One of the values."""
        ...

    def shuffle(self, values: MutableSequence[Any], /) -> None:
        """Reorder in place."""
        ...


_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
itself they them their theirs themselves what which who whom this that these those
am is are was were be been being have has had having do does did doing
a an the and but if or because as until while of at by for with about against between into through during before
after above below to from up down in out on off over under again further then once here there when where why how
all any both each few more most other some such no nor not only own same so than too very
s t can will just don should now
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())  # 127: what synonym replacement leaves alone
POSITION_DRAWS = 10  # of random insertion: the tenth word that is drawn is not used any more
SWAP_DRAWS = 4  # of random swap: after the fourth second position nothing is swapped


def clean(text: str, keep_digits: bool = False) -> str:
    """Lower-case letters and single spaces: apostrophes are taken out, all else becomes a space; a leading space is
    dropped, a trailing one stays. ``keep_digits`` keeps 0 to 9 too. A text without a letter is returned as "".
    """
    kept = string.ascii_lowercase + (string.digits if keep_digits else "")
    joined = text.replace("\u2019", "").replace("'", "").lower()
    spaced = re.sub(" +", " ", "".join(c if c in kept else " " for c in joined))
    return spaced.removeprefix(" ")


def changes(alpha: float, words: int) -> int:
    """Words that one operation changes: ``max(1, floor(alpha · words))``."""
    return max(1, int(alpha * words))


def candidates(copies: float) -> int:
    """Candidates that each operation makes for ``copies`` copies: ``floor(copies / 4) + 1``."""
    return int(copies / 4) + 1


def replace(words: Sequence[str], n: int, synonyms: Synonyms, draws: Draws) -> list[str]:
    """Synonym replacement: of the distinct words that are no stop words, in random order, ``n`` that have synonyms;
    all occurrences of a word become the same one, which may be several words.
    """
    new = list(words)
    order = list(dict.fromkeys(word for word in words if word not in STOP_WORDS))
    draws.shuffle(order)
    replaced = 0
    for word in order:
        known = list(synonyms(word))
        if known:
            other = draws.choice(known)
            new = [other if w == word else w for w in new]
            replaced += 1
        if replaced >= n:
            break
    return " ".join(new).split(" ")


def insert(words: Sequence[str], n: int, synonyms: Synonyms, draws: Draws) -> list[str]:
    """Random insertion, ``n`` times: words are drawn until one has a synonym, whose first stands before a position that
    is drawn then; nothing is inserted when ten words were drawn.
    """
    new = list(words)
    for _ in range(n):
        for drawn in range(1, POSITION_DRAWS + 1):
            known = synonyms(new[draws.randint(0, len(new) - 1)])
            if drawn == POSITION_DRAWS:
                break
            if known:
                new.insert(draws.randint(0, len(new) - 1), known[0])
                break
    return new


def swap(words: Sequence[str], n: int, draws: Draws) -> list[str]:
    """Random swap, ``n`` times: a position, then another one; nothing is swapped when four were drawn for it."""
    new = list(words)
    for _ in range(n):
        first = draws.randint(0, len(new) - 1)
        for drawn in range(1, SWAP_DRAWS + 1):
            second = draws.randint(0, len(new) - 1)
            if drawn == SWAP_DRAWS:
                break
            if second != first:
                new[first], new[second] = new[second], new[first]
                break
    return new


def delete(words: Sequence[str], p: float, draws: Draws) -> list[str]:
    """Random deletion: each word stays where a uniform draw is above ``p``; one word alone stays, and where nothing is
    left one word is drawn.
    """
    if len(words) == 1:
        return list(words)
    new = [word for word in words if draws.uniform(0, 1) > p]
    return new or [words[draws.randint(0, len(words) - 1)]]
