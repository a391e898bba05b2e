"""What a recogniser of speech makes of a sentence: a model of its errors, and the word error rate of any output.

The model knows words by their sounds alone. Of a word error rate r each word is

- taken for another with probability ``0.7 r``: for one of the :data:`NEAREST` words that sound most like it, drawn with
  weights ``exp(-d / 0.1)`` of their distance d (:func:`.pronunciations.distances`),
- left out with probability ``0.2 r``,
- followed by a short word that nobody said with probability ``0.1 r``,

so that the expected number of errors a word is r. The shares are ours: recognisers of read speech make about so many of
each kind. Errors are independent of one another and of the sentence, which those of a real recogniser are not: it has
a language model, and errors in bursts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from .pronunciations import distances, pronunciations

SUBSTITUTED, DELETED, INSERTED = 0.7, 0.2, 0.1  # shares of the errors
NEAREST = 8  # words that a word is taken for
SHARPNESS = 0.1  # of the weights, in units of the distance
SHORT = 2  # phonemes, at most, of a word that is put in


@dataclass(frozen=True)
class Errors:
    """Errors in ``words`` words that were said; sums of several by ``+``."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def rate(self) -> float:
        """Word error rate: errors over words said; 0 of none."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.words)


def measured(written: Iterable[str], recognised: Iterable[str]) -> Errors:
    """The errors of sentences, pair by pair, by the alignment with the fewest (Levenshtein's, of words)."""
    from rapidfuzz.distance import Levenshtein

    total = Errors()
    for said, heard in zip(written, recognised, strict=True):
        kinds = [op.tag for op in Levenshtein.editops(said.split(), heard.split())]
        counts = (kinds.count(kind) for kind in ("replace", "delete", "insert"))
        total += Errors(len(said.split()), *counts)
    return total


class ErrorModel:
    """The errors of a recogniser that knows the words of a ``vocabulary``, by their sounds."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        sounds = {word: phonemes for word, phonemes in pronunciations(list(vocabulary)).items() if phonemes}
        self.words = tuple(sounds)
        self._place = {word: k for k, word in enumerate(self.words)}
        self._apart = distances(sounds)
        self._short = tuple(w for w, phonemes in sounds.items() if len(phonemes) <= SHORT) or self.words
        self._known: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {}

    def confusions(self, word: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The words that ``word`` is taken for, the most likely first, with their probabilities; empty for a word that
        the vocabulary does not have, or that has no sound.
        """
        if word not in self._place or len(self.words) < 2:
            return (), ()
        if word not in self._known:
            own = self._place[word]
            far = np.where(np.arange(len(self.words)) == own, np.inf, self._apart[own])
            near = np.argsort(far, kind="stable")[:NEAREST]
            near = near[np.isfinite(far[near])]
            weights = np.exp(-(far[near] - far[near[0]]) / SHARPNESS)
            shares = weights / weights.sum()
            self._known[word] = tuple(self.words[k] for k in near), tuple(map(float, shares))
        return self._known[word]

    def heard(self, sentence: str, rate: float, draws: Random) -> tuple[str, Errors]:
        """``sentence`` as it is recognised at the word error rate ``rate`` in [0, 1], and the errors that were made.

        The same draws make at a higher rate all errors of a lower one, and more. A word without known sounds stays.
        """
        heard: list[str] = []
        made = Errors()
        for word in sentence.split():
            chance, kind, which, more, short = (draws.random() for _ in range(5))
            others, shares = self.confusions(word)
            wrong = bool(others) and chance < rate * (SUBSTITUTED + DELETED)
            deleted = wrong and kind < DELETED / (SUBSTITUTED + DELETED)
            if wrong and not deleted:
                heard.append(_drawn(others, shares, which))
            elif not wrong:
                heard.append(word)
            inserted = bool(self._short) and more < rate * INSERTED
            if inserted:
                heard.append(self._short[int(short * len(self._short))])
            made += Errors(1, int(wrong and not deleted), int(deleted), int(inserted))
        return " ".join(heard), made


def _drawn(values: Sequence[str], shares: Sequence[float], u: float) -> str:
    """The value at the share u in [0, 1)."""
    for value, share in zip(values, shares, strict=True):
        u -= share
        if u < 0:
            return value
    return values[-1]
