"""Sentences of the spoken world: a grammar in SLURP's schema, split by phrasing; every factor of an utterance is drawn
and recorded.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from random import Random
from typing import Any

import yaml

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Voice:
    """Who speaks: an eSpeak NG accent with a voice variant."""

    accent: str
    variant: str

    @property
    def name(self) -> str:
        return f"{self.accent}+{self.variant}"


@dataclass(frozen=True)
class Utterance:
    """All known factors of one utterance. ``rate`` in words a minute, ``pitch`` 0..99, ``noise`` as signal-to-noise
    ratio in dB, ``room`` as reverberation time in seconds (0: none).
    """

    id: str
    split: str
    scenario: str
    action: str
    entities: tuple[tuple[str, str], ...]
    words: str
    phrasing: str
    voice: Voice
    rate: int
    pitch: int
    noise: float
    room: float
    synthesiser: str = "espeak"  # one of speaker.SYNTHESISERS

    @property
    def intent(self) -> str:
        return f"{self.scenario}_{self.action}"


@dataclass(frozen=True)
class Plan:
    """Which factors go together, how often: data, so that a later suite can plant a bias or a drift in the same speech.

    ``counts`` are utterances an intent for each split; ``intents`` (scenario_action) those spoken; ``voices`` the
    voices of each split; ``rate``, ``pitch``, ``noise``, ``room`` are (low, high), drawn evenly. A bias is planted by
    ``voices_of``: in training a share ``share`` of an intent's utterances is spoken by its own voices. A drift is one
    plan an experience (:func:`sample_stream`).
    """

    counts: Mapping[str, int]
    intents: Sequence[str]
    voices: Mapping[str, Sequence[Voice]]
    seed: int = 0
    rate: tuple[int, int] = (140, 190)
    pitch: tuple[int, int] = (30, 70)
    noise: tuple[float, float] = (15.0, 35.0)
    room: tuple[float, float] = (0.0, 0.3)
    voices_of: Mapping[str, Sequence[Voice]] = field(default_factory=dict)
    share: float = 1.0


@cache
def grammar() -> dict[str, Any]:
    """The grammar file."""
    text = (resources.files(__package__) / "grammar.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


@cache
def intents() -> tuple[str, ...]:
    """All scenario_action names, scenarios in alphabetical order."""
    table = grammar()["intents"]
    return tuple(f"{scenario}_{action}" for scenario in sorted(table) for action in table[scenario])


@cache
def phrasings(intent: str) -> tuple[str, ...]:
    """All phrasings of an intent: its templates with every choice made, frames left out."""
    scenario, _, action = intent.partition("_")
    sentences: dict[str, None] = {}
    for template in grammar()["intents"][scenario][action]:
        parts = re.split(r"\[([^\]]*)\]", template)
        choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
        for picked in itertools.product(*choices):
            sentences.setdefault(" ".join("".join(picked).split()))
    return tuple(sentences)


def random_of(*key: object) -> Random:
    return Random(hashlib.sha256("/".join(map(str, key)).encode()).digest())


@cache
def phrasings_of_split(intent: str, split: str) -> tuple[str, ...]:
    """60 % of the phrasings are for train, 15 % for valid, the rest for test; each split has at least one of every
    template where it can.
    """
    order = list(phrasings(intent))
    random_of("phrasings", intent).shuffle(order)
    n = len(order)
    first, second = max(1, round(0.6 * n)), max(2, round(0.75 * n))
    return tuple({"train": order[:first], "valid": order[first:second], "test": order[second:]}[split])


@cache
def vocabulary() -> tuple[str, ...]:
    """All words that a sentence may have, in alphabetical order."""
    said = [phrasing for intent in intents() for phrasing in phrasings(intent)]
    said += [filler for fillers in grammar()["entities"].values() for filler in fillers]
    said += [frame for frames in grammar()["frames"].values() for frame in frames]
    return tuple(sorted({word for text in said for word in re.sub(r"\{\w+\}", "", text).split()}))


def sentence(intent: str, split: str, r: Random) -> tuple[str, tuple[tuple[str, str], ...], str]:
    """A sentence of an intent as (phrasing, entities, words): a phrasing of the split, with fillers and a frame drawn
    by ``r``.
    """
    fillers, frames, verbs = grammar()["entities"], grammar()["frames"], frozenset(grammar()["verbs"])
    phrasing = r.choice(phrasings_of_split(intent, split))
    entities: list[tuple[str, str]] = []

    def fill(match: re.Match[str]) -> str:
        entities.append((match[1], r.choice(fillers[match[1]])))
        return entities[-1][1]

    words = re.sub(r"\{(\w+)\}", fill, phrasing)
    before = frames["request" if phrasing.split()[0] in verbs else "before"]
    return phrasing, tuple(entities), " ".join(f"{r.choice(before)} {words} {r.choice(frames['after'])}".split())


def sample(plan: Plan) -> list[Utterance]:
    """The utterances of a plan. One utterance depends on (seed, split, intent, number) alone: other intents' counts
    move nothing.
    """
    result = []
    for split in SPLITS:
        for intent in plan.intents:
            scenario, _, action = intent.partition("_")
            for number in range(plan.counts[split]):
                r = random_of(plan.seed, split, intent, number)
                phrasing, entities, words = sentence(intent, split, r)
                result.append(
                    Utterance(
                        id=f"{split}-{intent}-{number}",
                        split=split,
                        scenario=scenario,
                        action=action,
                        entities=entities,
                        words=words,
                        phrasing=phrasing,
                        **_factors(plan, split, r, intent),
                    )
                )
    return result


def _factors(plan: Plan, split: str, r: Random, intent: str = "") -> dict[str, Any]:
    """Voice, rate, pitch, noise and room of one utterance, as the plan says."""
    own = plan.voices_of.get(intent) if split == "train" else None
    return {
        "voice": r.choice(list(own if own and r.random() < plan.share else plan.voices[split])),
        "rate": r.randint(*plan.rate),
        "pitch": r.randint(*plan.pitch),
        "noise": r.uniform(*plan.noise),
        "room": r.uniform(*plan.room),
    }


def sample_stream(plans: Sequence[Plan]) -> list[tuple[int, Utterance]]:
    """Utterances of one plan an experience with the experience's number; ids carry it, sentences are drawn anew in
    each.
    """
    result = []
    for number, plan in enumerate(plans):
        seed = int.from_bytes(hashlib.sha256(f"{plan.seed}/experience/{number}".encode()).digest()[:6], "big")
        result += [(number, replace(u, id=f"e{number}-{u.id}")) for u in sample(replace(plan, seed=seed))]
    return result


def voiced(
    plan: Plan, id: str, split: str, scenario: str, action: str, entities: tuple[tuple[str, str], ...], words: str
) -> Utterance:
    """A sentence from elsewhere as an utterance of the plan; its factors depend on (seed, id) alone."""
    factors = _factors(plan, split, random_of(plan.seed, "voiced", id))
    return Utterance(
        id=id, split=split, scenario=scenario, action=action, entities=entities, words=words, phrasing=words, **factors
    )


def difficulty(utterances: Iterable[Utterance]) -> dict[str, float]:
    """How far words alone give the intent away: ``bag_of_words_accuracy`` of a logistic regression on true transcripts
    (train → test), and ``single_word_share``, the share of intents of which one word is in ≥ 90 % of the utterances
    and in ≤ 10 % as many others.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = list(utterances)
    train, test = ([u for u in rows if u.split == split] for split in ("train", "test"))
    vectors = CountVectorizer(token_pattern=r"\S+", binary=True)
    x = vectors.fit_transform([u.words for u in train])
    model = LogisticRegression(C=10.0, max_iter=2000).fit(x, [u.intent for u in train])
    accuracy = float(model.score(vectors.transform([u.words for u in test]), [u.intent for u in test]))
    by_intent: dict[str, list[set[str]]] = defaultdict(list)
    for u in rows:
        by_intent[u.intent].append(set(u.words.split()))
    alone = 0
    for intent, mine in by_intent.items():
        words = {w for w in set().union(*mine) if sum(w in s for s in mine) >= 0.9 * len(mine)}
        others = [s for other, sets in by_intent.items() if other != intent for s in sets]
        alone += any(sum(w in s for s in others) <= 0.1 * len(mine) for w in words)
    return {
        "bag_of_words_accuracy": accuracy,
        "single_word_share": alone / max(1, len(by_intent)),
        "intents": float(len(by_intent)),
        "sentences": float(len({u.words for u in rows})),
        "phrasings": float(len({(u.intent, u.phrasing) for u in rows})),
    }
