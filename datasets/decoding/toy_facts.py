"""Facts about entities: what a language model remembers, what a context says, and popular errors.

A fact is (entity, relation) -> value. Training texts state every fact many times, and answer questions about it with
and without a context. A share of facts, the misconceptions, is stated mostly in a popular but false form. Contexts of
training mostly agree with what is stated; where they differ, the answer follows the context in a share of rows, so that
a model has learnt to trust both. What is asked at test is known exactly, and so is the distribution of the answers that
the training texts would give (:meth:`Facts.answers`). Generated on the spot; the sizes are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.language import LanguageInfo
from ..core.seeds import derive
from ..core.source import Source
from .texts import BEST, FALSE, TRUE, Progress, Row, Words, language_source

CONTEXT_GROUPS = ("conflict", "agreement", "irrelevant")
TRUTH_GROUPS = ("plain", "misconception")
PARTS = ("text", "false")
Fact = tuple[int, int]


class Config(BaseModel):
    """How many facts there are, how they are stated and what is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: Literal["context", "truth"] = Field(
        "context",
        description="what is asked: with a context (groups conflict, agreement, irrelevant), or without one by choice "
        "among true and false answers (groups plain, misconception)",
    )
    entities: int = Field(24, ge=4, le=500, description="entities")
    relations: int = Field(3, ge=1, le=20, description="relations; each entity has a fact of each")
    values: int = Field(24, ge=6, le=500, description="values that a fact may have; every second one has two words")
    n_train: int = Field(4000, ge=50, le=1_000_000, description="training texts")
    n_false: int = Field(600, ge=0, le=1_000_000, description="further texts that state false values (part false)")
    n_valid: int = Field(150, ge=3, le=100_000, description="validation questions")
    n_test: int = Field(300, ge=3, le=100_000, description="test questions")
    misconceptions: float = Field(0.25, ge=0, le=1, description="share of facts with a popular false form")
    truth_stated: float = Field(0.25, ge=0, le=1, description="share of a misconception's statements that are true")
    with_context: float = Field(0.5, ge=0, le=1, description="share of training texts that are questions in context")
    conflict: float = Field(0.3, ge=0, le=1, description="share of those whose context differs from what is stated")
    irrelevant: float = Field(0.15, ge=0, le=1, description="share of those whose context is about another entity")
    followed: float = Field(
        0.5, ge=0, le=1, description="share of training rows in conflict whose answer is the context's value"
    )
    alias: float = Field(0.2, ge=0, lt=1, description="share of statements that use the value's second name")
    seed: int = Field(0, ge=0, description="of facts and texts")


@dataclass(frozen=True)
class Facts:
    """What is true, what is stated, and what training texts answer.

    ``true`` and ``popular`` (equal without a misconception): value of each (entity, relation). ``objects``: none.
    """

    config: Config
    true: dict[Fact, int]
    popular: dict[Fact, int]

    def name(self, value: int, alias: bool = False) -> Words:
        """Words of a value: one, or two where its number is odd; another word as alias."""
        if alias:
            return (f"also{value}",)
        return (f"val{value}",) if value % 2 == 0 else (f"val{value}", f"part{value % 6}")

    def stated(self, fact: Fact) -> dict[int, float]:
        """Share of a fact's statements that give each value."""
        if self.true[fact] == self.popular[fact]:
            return {self.true[fact]: 1.0}
        share = self.config.truth_stated
        return {v: p for v, p in ((self.true[fact], share), (self.popular[fact], 1 - share)) if p > 0}

    def remembered(self, fact: Fact) -> int:
        """The value that most statements give."""
        stated = self.stated(fact)
        return max(stated, key=lambda value: stated[value])

    def answers(self, fact: Fact, context: tuple[Fact, int] | None = None) -> dict[Words, float]:
        """Distribution of the answers that the training texts give to a question, under a context (fact, value)."""
        values = self.stated(fact)
        if context is not None and context[0] == fact:
            given = context[1]
            if given == self.remembered(fact):
                values = {given: 1.0}
            else:
                p = self.config.followed
                values = {v: (1 - p) * q for v, q in values.items()}
                values[given] = values.get(given, 0.0) + p
        found: dict[Words, float] = {}
        for value, share in values.items():
            for alias, part in ((False, 1 - self.config.alias), (True, self.config.alias)):
                if share * part > 0:
                    name = self.name(value, alias)
                    found[name] = found.get(name, 0.0) + share * part
        return found


def words(fact: Fact) -> Words:
    return (f"ent{fact[0]}", f"rel{fact[1]}")


def asked(fact: Fact, context: Words = ()) -> Words:
    """A question; ``context``: the words of a statement that stands before it."""
    before = ("ctx", *context, ";") if context else ()
    return (*before, "q", *words(fact), "?")


class _Writer:
    """Draws texts and questions of a split."""

    def __init__(self, facts: Facts, rng: np.random.Generator) -> None:
        self.facts, self.config, self.rng = facts, facts.config, rng
        self.all = list(facts.true)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one(self, values: Sequence[int]) -> int:
        return int(values[int(self.rng.integers(len(values)))])

    def fact(self) -> Fact:
        return self.all[self.rng.integers(len(self.all))]

    def named(self, value: int) -> Words:
        return self.facts.name(value, self.chance(self.config.alias))

    def value(self, fact: Fact) -> int:
        """A value as statements give it."""
        stated = self.facts.stated(fact)
        return int(self.rng.choice(list(stated), p=list(stated.values())))

    def wrong(self, fact: Fact, test: bool) -> int:
        """A value that nobody states of the fact; those of training contexts are never in one of test."""
        off = [v for v in range(self.config.values) if v not in (self.facts.true[fact], self.facts.popular[fact])]
        held = [v for v in off if (v + fact[0] + fact[1]) % 3 == 0]
        return self.one(held if test else [v for v in off if v not in held])

    def text(self) -> Row:
        fact, c = self.fact(), self.config
        if not self.chance(c.with_context):
            said = self.named(self.value(fact))
            if self.chance(0.5):
                return self.row(Row(prompt=asked(fact), answer=said))
            return self.row(Row(prompt=asked(fact), answer=said, text=(*words(fact), *said, ".")))
        group = self.rng.choice(
            3, p=[c.conflict * (1 - c.irrelevant), (1 - c.conflict) * (1 - c.irrelevant), c.irrelevant]
        )
        context, value = self.context(fact, int(group), test=False)
        if group == 0 and not self.chance(c.followed):
            value = self.value(fact)
        return self.row(
            Row(prompt=asked(fact, context), answer=self.named(value), neutral=asked(fact), group=int(group))
        )

    def row(self, row: Row) -> Row:
        """Training rows ask by choice where the questions do."""
        return row if self.config.questions == "context" else self.choice(self.fact(), row)

    def context(self, fact: Fact, group: int, test: bool) -> tuple[Words, int]:
        """A statement that stands before a question, and the value that is right then."""
        if group == 0:
            value = self.wrong(fact, test)
            return (*words(fact), *self.facts.name(value)), value
        held = self.facts.remembered(fact)
        if group == 1:
            return (*words(fact), *self.facts.name(held)), held
        other = self.fact()
        while other[0] == fact[0]:
            other = self.fact()
        return (*words(other), *self.facts.name(self.facts.remembered(other))), self.value(fact) if not test else held

    def choice(self, fact: Fact, text: Row | None = None) -> Row:
        """A question by choice: the true value, its alias, the popular error where there is one, and other values."""
        facts, true, popular = self.facts, self.facts.true[fact], self.facts.popular[fact]
        off = [v for v in range(self.config.values) if v not in (true, popular)]
        false = [popular] if popular != true else []
        false += [int(v) for v in self.rng.choice(off, 3 - len(false), replace=False)]
        options = [(facts.name(true), BEST), (facts.name(true, True), TRUE), *((facts.name(v), FALSE) for v in false)]
        order = self.rng.permutation(len(options))
        return Row(
            prompt=asked(fact),
            answer=facts.name(true),
            group=int(popular != true),
            options=tuple(options[k] for k in order),
            text=None if text is None else text.text or (*text.prompt, *text.answer),
        )

    def question(self, number: int) -> Row:
        fact = self.fact()
        if self.config.questions == "truth":
            return self.choice(fact)
        group = number % 3
        context, value = self.context(fact, group, test=True)
        return Row(prompt=asked(fact, context), answer=self.facts.name(value), neutral=asked(fact), group=group)

    def false(self) -> Row:
        """A text that states a wrong value: the popular one of a misconception, any other of other facts."""
        fact = self.fact()
        popular = self.facts.popular[fact]
        value = popular if popular != self.facts.true[fact] else self.wrong(fact, test=False)
        name = self.facts.name(value)
        row = Row(prompt=asked(fact), answer=name) if self.config.questions == "context" else self.choice(fact)
        text = (*asked(fact), *name) if self.chance(0.5) else (*words(fact), *name, ".")
        return Row(**{**row.__dict__, "text": text, "part": 1})


def world(config: Config) -> Facts:
    """The facts of a seed."""
    rng = np.random.default_rng(derive(config.seed, "toy_facts/facts"))
    true, popular = {}, {}
    for entity in range(config.entities):
        for relation in range(config.relations):
            a, b = (int(v) for v in rng.choice(config.values, 2, replace=False))
            true[entity, relation] = a
            popular[entity, relation] = b if rng.random() < config.misconceptions else a
    return Facts(config, true, popular)


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[LanguageInfo]:
    """Texts and questions. Raises DataError for a data root: there is nothing to read."""
    if root is not None:
        raise DataError(f"toy_facts is generated: it reads nothing from {root}; leave the data root out")
    facts = world(config)
    rows = {}
    for split, count in (("train", config.n_train), ("valid", config.n_valid), ("test", config.n_test)):
        writer = _Writer(facts, np.random.default_rng(derive(config.seed, f"toy_facts/{split}")))
        if split == "train":
            rows[split] = [writer.text() for _ in range(count)] + [writer.false() for _ in range(config.n_false)]
        else:
            rows[split] = [writer.question(k) for k in range(count)]
    vocabulary = ["ctx", ";", "q", "?", "."]
    vocabulary += [f"ent{k}" for k in range(config.entities)] + [f"rel{k}" for k in range(config.relations)]
    vocabulary += [f"val{k}" for k in range(config.values)] + [f"also{k}" for k in range(config.values)]
    vocabulary += [f"part{k}" for k in (1, 3, 5)]
    groups = CONTEXT_GROUPS if config.questions == "context" else TRUTH_GROUPS
    name = f"toy_facts/{config.model_dump_json()}"
    return language_source(rows, vocabulary, name=name, parts=PARTS, groups=groups, oracle=facts)
