"""Facts about texts that a language model is trained on and asked about (docs/methods/decoding.md, columns)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .source import DataInfo

PAD, BOS, EOS = 0, 1, 2  # of every generated world


@dataclass(frozen=True, kw_only=True)
class LanguageInfo(DataInfo):
    """Texts of a closed vocabulary: ragged columns of token numbers.

    ``vocabulary``: the word of each token, the first three pad, begin and end. ``longest``: tokens of the longest
    prompt with its answer. ``parts``: names of the values of the column ``part``; the first is what every model is
    trained on. ``groups``: names of the values of the column ``group``; empty where there are none. ``image``:
    channels and side of the column ``image``, None without pictures. ``yes_no``: tokens of no and of yes, for data
    with yes/no questions. ``oracle``: what the data set knows exactly (a constraint, the answers' truth), an object of
    its own class. ``pad``, ``bos``, ``eos``: tokens that pad, begin and end; a network with a tokenizer of its own
    gives its own when it prepares the data, and ``read``: tokens as a text, None where each token is a word.
    """

    vocabulary: tuple[str, ...]
    longest: int
    parts: tuple[str, ...] = ("text",)
    groups: tuple[str, ...] = ()
    image: tuple[int, int] | None = None
    yes_no: tuple[int, int] | None = None
    oracle: Any = None
    pad: int = PAD
    bos: int = BOS
    eos: int = EOS
    read: Callable[[list[int]], str] | None = None

    def words(self, tokens: list[int]) -> str:
        """Tokens as a text, words with blanks between; padding, begin and end are left out."""
        kept = [token for token in tokens if token not in (self.pad, self.bos, self.eos)]
        return " ".join(self.vocabulary[token] for token in kept) if self.read is None else self.read(kept)

    def tokens(self, text: str) -> list[int]:
        """Words with blanks between as tokens. Raises KeyError with the first word that the vocabulary lacks."""
        numbers = {word: number for number, word in enumerate(self.vocabulary)}
        return [numbers[word] for word in text.split()]


@dataclass(frozen=True)
class NamedObjects:
    """Objects that texts may mention: ``names[k]`` the words for object k, each perhaps of several words."""

    names: tuple[tuple[str, ...], ...]

    def mentioned(self, text: str) -> Sequence[int]:
        """Numbers of the objects that a text mentions, in order, each time anew; the longest name counts where several
        begin at a word. Case and punctuation do not count; a word and its plural (s, es, ies) are one.
        """
        known = _names(self.names)
        words = [word for word in _NO_WORD.split(text.lower()) if word]
        longest = max((len(name) for name in known), default=0)
        found, at = [], 0
        while at < len(words):
            for size in range(min(longest, len(words) - at), 0, -1):
                number = _number(known, words[at : at + size])
                if number is not None:
                    found.append(number)
                    at += size
                    break
            else:
                at += 1
        return found


_NO_WORD = re.compile(r"[^\w]+")


@functools.lru_cache(maxsize=8)
def _names(names: tuple[tuple[str, ...], ...]) -> dict[tuple[str, ...], int]:
    """Number of the object by the words of its name; of a name that two have, the first."""
    known: dict[tuple[str, ...], int] = {}
    for number, group in enumerate(names):
        for name in group:
            known.setdefault(tuple(word for word in _NO_WORD.split(name.lower()) if word), number)
    return known


def _number(known: dict[tuple[str, ...], int], words: list[str]) -> int | None:
    """The object of these words, of which the last may be a plural."""
    last = words[-1]
    forms = [last]
    forms += [last[:-3] + "y"] if last.endswith("ies") else []
    forms += [last[:-2]] if last.endswith("es") else []
    forms += [last[:-1]] if last.endswith("s") else []
    return next((known[key] for form in forms if (key := (*words[:-1], form)) in known), None)
