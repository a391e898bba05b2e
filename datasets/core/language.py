"""Facts about texts that a language model is trained on and asked about (docs/methods/decoding.md, columns)."""

from __future__ import annotations

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
    gives its own when it prepares the data.
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

    def words(self, tokens: list[int]) -> str:
        """Tokens as words with blanks between; padding, begin and end are left out."""
        return " ".join(self.vocabulary[token] for token in tokens if token not in (self.pad, self.bos, self.eos))

    def tokens(self, text: str) -> list[int]:
        """Words with blanks between as tokens. Raises KeyError with the first word that the vocabulary lacks."""
        numbers = {word: number for number, word in enumerate(self.vocabulary)}
        return [numbers[word] for word in text.split()]
