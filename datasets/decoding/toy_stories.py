"""Documents of passages: a chain of topics, and names that stay within a passage.

A passage is a prefix and a continuation of it. A sentence is "NAME VERB the NOUN ." or, of the domain ``report``,
"report : NAME VERB the NOUN ."; verb and noun are of the sentence's topic, the topic moves by a chain through the whole
document, and the names are two of the passage's own. Other passages of a document are fluent and near in topic, and
wrong in their names: what RankGen's training tells apart. The probability that this process gives to any continuation
is known exactly (:meth:`Stories.log_probability`). Generated on the spot; the sizes are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.language import LanguageInfo, NamedObjects
from ..core.seeds import derive
from ..core.source import Source
from .texts import BEST, FALSE, Progress, Row, Words, language_source

PARTS = ("text", "other", "domain")
MARK = ("report", ":")


class Config(BaseModel):
    """How many documents there are and how long their passages are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: Literal["write", "choose"] = Field(
        "write", description="what is asked: to continue a prefix, or to choose among the passages of its document"
    )
    n_train: int = Field(1500, ge=10, le=1_000_000, description="training passages of each of two halves of documents")
    n_domain: int = Field(300, ge=0, le=1_000_000, description="further training passages of the domain alone")
    n_valid: int = Field(60, ge=2, le=100_000, description="validation passages")
    n_test: int = Field(120, ge=2, le=100_000, description="test passages")
    passages: int = Field(6, ge=2, le=100, description="passages of a document")
    prefix: int = Field(2, ge=2, le=20, description="sentences of a prefix; each name of the passage is in it")
    continuation: int = Field(4, ge=1, le=50, description="sentences of a continuation")
    names: int = Field(24, ge=4, le=500, description="names")
    topics: int = Field(4, ge=2, le=20, description="topics")
    words: int = Field(4, ge=1, le=50, description="verbs, and nouns, of each topic")
    stay: float = Field(0.8, ge=0, le=1, description="probability that the next sentence has the same topic")
    mixed: float = Field(0.2, ge=0, le=1, description="share of passages of the domain in ordinary documents")
    seed: int = Field(0, ge=0, description="of documents")


@dataclass(frozen=True)
class Stories:
    """The process that writes passages. ``objects``: token of each name, in the order of the column ``shown``;
    ``domain``: tokens that only texts of the domain ``report`` have; ``vocabulary``: all words.
    """

    config: Config
    objects: tuple[int, ...]
    domain: tuple[int, ...]
    vocabulary: tuple[str, ...]

    def mentioned(self, text: str) -> Sequence[int]:
        """Numbers of the names in a text, in order."""
        return NamedObjects(tuple((self.vocabulary[token],) for token in self.objects)).mentioned(text)

    def log_probability(self, prompt: Sequence[int], continuation: Sequence[int]) -> float:
        """Log-probability in nats that the process continues ``prompt`` by these tokens (begin, end and padding left
        out of both), given that it has as many sentences; -inf for anything it never writes.

        The topic is a Markov chain that the nouns and verbs show, so that the sum over topics is a single term.
        """
        before = self._sentences([self.vocabulary[t] for t in prompt])
        after = self._sentences([self.vocabulary[t] for t in continuation])
        if not before or not after:
            return -math.inf
        names = {name for name, _, _ in before}
        marked = {marked for _, _, marked in before}
        c, topic, total = self.config, before[-1][1], 0.0
        for name, now, mark in after:
            if name not in names or mark not in marked:
                return -math.inf
            move = c.stay if now == topic else (1 - c.stay) / (c.topics - 1)
            if move == 0:
                return -math.inf
            total += math.log(move) - math.log(len(names)) - 2 * math.log(c.words)
            topic = now
        return total

    def _sentences(self, words: Sequence[str]) -> list[tuple[str, int, bool]]:
        """Name, topic and domain of each sentence; empty where a part is no sentence."""
        found: list[tuple[str, int, bool]] = []
        rest = list(words)
        while rest:
            marked = tuple(rest[:2]) == MARK
            sentence = rest[2:7] if marked else rest[:5]
            rest = rest[7:] if marked else rest[5:]
            if len(sentence) < 5 or sentence[2] != "the" or sentence[4] != ".":
                return []
            name, verb, noun = sentence[0], sentence[1], sentence[3]
            topics = {
                int(word.split("_")[0][len(kind) :])
                for word, kind in ((verb, "verb"), (noun, "noun"))
                if word.startswith(kind)
            }
            if not name.startswith("name") or len(topics) != 1 or not verb.startswith("verb") or noun[:4] != "noun":
                return []
            found.append((name, topics.pop(), marked))
        return found


class _Author:
    """Writes the documents of a split."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng

    def next_topic(self, topic: int) -> int:
        if self.rng.random() < self.config.stay:
            return topic
        others = [t for t in range(self.config.topics) if t != topic]
        return others[self.rng.integers(len(others))]

    def sentence(self, topic: int, name: int, marked: bool) -> Words:
        verb, noun = self.rng.integers(self.config.words, size=2)
        return (*(MARK if marked else ()), f"name{name}", f"verb{topic}_{verb}", "the", f"noun{topic}_{noun}", ".")

    def documents(self, count: int, part: int, first: int) -> list[Row]:
        """``count`` passages of whole documents, numbered from ``first``."""
        c = self.config
        rows: list[Row] = []
        document = first - 1
        while len(rows) < count:
            document += 1
            topic = int(self.rng.integers(c.topics))
            cast = self.rng.permutation(c.names)
            for number in range(min(c.passages, count - len(rows))):
                pair = [int(cast[(2 * number + k) % c.names]) for k in (0, 1)]
                marked = part == 2 or bool(self.rng.random() < c.mixed)
                sentences = []
                for k in range(c.prefix + c.continuation):
                    topic = self.next_topic(topic)
                    name = pair[k] if k < 2 else pair[int(self.rng.integers(2))]
                    sentences.append(self.sentence(topic, name, marked))
                halves = (sentences[: c.prefix], sentences[c.prefix :])
                prompt, answer = (tuple(word for s in half for word in s) for half in halves)
                shown = tuple(int(name in pair) for name in range(c.names))
                rows.append(Row(prompt=prompt, answer=answer, part=part, document=document, shown=shown))
        return rows


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[LanguageInfo]:
    """Passages. Parts of training: ``text``, ``other`` (documents of the other half, for a generator), ``domain``
    (passages of the domain). Raises DataError for a data root: there is nothing to read.
    """
    if root is not None:
        raise DataError(f"toy_stories is generated: it reads nothing from {root}; leave the data root out")
    rows: dict[str, list[Row]] = {}
    for split, count in (("train", config.n_train), ("valid", config.n_valid), ("test", config.n_test)):
        rng = np.random.default_rng(derive(config.seed, f"toy_stories/{split}"))
        author = _Author(config, rng)
        rows[split] = author.documents(count, 0, 0)
        if split == "train":
            for part, more in ((1, count), (2, config.n_domain)):
                rows[split] += author.documents(more, part, 1 + max(_documents(rows[split])))
    if config.questions == "choose":
        rows = {split: _choices(part) for split, part in rows.items()}
    vocabulary = [*MARK, "the", ".", *(f"name{k}" for k in range(config.names))]
    for kind in ("verb", "noun"):
        vocabulary += [f"{kind}{t}_{k}" for t in range(config.topics) for k in range(config.words)]
    whole = ("<pad>", "<bos>", "<eos>", *vocabulary)
    objects = tuple(whole.index(f"name{k}") for k in range(config.names))
    oracle = Stories(config, objects, tuple(whole.index(word) for word in MARK), whole)
    name = f"toy_stories/{config.model_dump_json()}"
    return language_source(rows, vocabulary, name=name, parts=PARTS, oracle=oracle)


def _choices(rows: Sequence[Row]) -> list[Row]:
    """The rows with options: the right continuation among those of up to three other passages of the document; its
    place goes round.
    """
    answers: dict[int | None, list[Words]] = {}
    for row in rows:
        answers.setdefault(row.document, []).append(row.answer)
    found = []
    for number, row in enumerate(rows):
        own = answers[row.document]
        at = next(k for k, answer in enumerate(own) if answer is row.answer)
        others = [own[(at + k) % len(own)] for k in range(1, min(4, len(own)))]
        if not others:  # the last document of a split may have one passage alone
            others = [rows[number - 1].answer]
        options = [(answer, FALSE) for answer in others]
        options.insert(number % (len(options) + 1), (row.answer, BEST))
        found.append(replace(row, options=tuple(options)))
    return found


def _documents(rows: Sequence[Row]) -> list[Any]:
    return [row.document for row in rows]
