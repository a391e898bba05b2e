"""From a plan to utterances: every factor of a row is drawn by a generator of its own, so that a strength moves the
rows that it must and nothing else of them.

A row depends on (seed, split, class, number) alone: counts of other classes move nothing. A row that a bias of 0.2
plants is planted at 0.5, too.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..spoken import grammar
from ..spoken.grammar import Utterance, Voice
from .factors import ACCENTS, FACTORS, NAMED
from .plan import By, Plan


@dataclass(frozen=True)
class Row:
    """One utterance with what the plan says of it.

    ``label``: number of its class. ``values``: its factors by name. ``planted``: factors whose value a bias or a drift
    gave. ``is_target``: of which set it is, where the data has a background and a target.
    """

    utterance: Utterance
    label: int
    experience: int
    values: Mapping[str, Any]
    planted: frozenset[str] = frozenset()
    is_target: bool = False


def counts(plan: Plan, split: str) -> list[int]:
    """Rows of each class; with an imbalance of the label the k-th of K classes has ratio^(-k / (K - 1)) of the first's,
    one at least, in training.
    """
    n, ratio = plan.rows[split], plan.imbalance.get(plan.label, 1.0) if split == "train" else 1.0
    last = max(1, len(plan.classes) - 1)
    return [max(1, round(n * ratio ** (-k / last))) for k in range(len(plan.classes))]


def homes(plan: Plan, seed: int) -> list[int]:
    """The experience of each class: classes in a seeded order are dealt out one after the other."""
    order = list(range(len(plan.classes)))
    grammar.random_of(seed, "experiences").shuffle(order)
    home = [0] * len(order)
    for position, label in enumerate(order):
        home[label] = position % plan.experiences
    return home


def draw(plan: Plan, seed: int, *, unbiased: int = 0) -> list[Row]:
    """The rows of all splits, in the order train, valid, test; with ``unbiased`` as many more rows of each class follow
    in a split of that name, of the sentences of training and with nothing planted.
    """
    home = homes(plan, seed)
    rows: list[Row] = []
    for split in grammar.SPLITS:
        for label, n in enumerate(counts(plan, split)):
            for group in (False,) if plan.target is None else (False, True):
                rows += [_row(plan, seed, split, label, number, home[label], group) for number in range(n)]
    for label in range(len(plan.classes)):
        rows += [_row(plan, seed, "unbiased", label, k, home[label], False) for k in range(unbiased)]
    return rows


def _row(plan: Plan, seed: int, split: str, label: int, number: int, home: int, is_target: bool) -> Row:
    name = plan.classes[label]
    id_ = f"{'target-' if is_target else ''}{split}-{name}-{number}"
    key = (seed, "world", id_)
    sentences = "train" if split == "unbiased" else split
    intents = [i for i in plan.intents if name in (i, i.partition("_")[0])]
    r = grammar.random_of(*key)
    intent = r.choice(intents)
    phrasing, entities, words = grammar.sentence(intent, sentences, r)
    scenario, _, action = intent.partition("_")
    experience = home
    moved = grammar.random_of(*key, "experience")
    if plan.experiences > 1 and moved.random() < plan.overlap:
        experience = moved.randrange(plan.experiences)
    values, planted = _values(plan, key, split, {"intent": intent, "scenario": scenario}, experience, is_target)
    utterance = Utterance(
        id=id_,
        split=split,
        scenario=scenario,
        action=action,
        entities=entities,
        words=words,
        phrasing=phrasing,
        voice=Voice(ACCENTS[values["accent"]][values["synthesiser"]], values["voice"]),
        rate=round(values["rate"]),
        pitch=round(values["pitch"]),
        noise=values["noise"],
        room=values["room"],
        synthesiser=values["synthesiser"],
    )
    return Row(utterance, label, experience, values, frozenset(planted), is_target)


def _values(
    plan: Plan, key: tuple[Any, ...], split: str, values: dict[str, Any], experience: int, is_target: bool
) -> tuple[dict[str, Any], set[str]]:
    """All factors of one row, and those that a bias or a drift gave."""
    side: By = plan.target if is_target and plan.target is not None else plan.factors
    follows, planted = {f: (of, b) for (f, of), b in plan.bias.items()}, set()
    drawn_as, plants = ("train" if split == "unbiased" else split), split in ("train", "valid")
    for factor in FACTORS:
        r = grammar.random_of(*key, factor)
        chance, spread = r.random(), r.random()
        of, strength = follows.get(factor, ("", 0.0))
        if plants and of and chance < strength:
            own = plan.own(factor, of, str(values[of]))
            values[factor] = own if factor in NAMED else own[0] + (own[1] - own[0]) * spread
            planted.add(factor)
        elif plants and factor in plan.drift and chance < plan.drift_strength:
            own = plan.drift[factor][experience]
            values[factor] = own if factor in NAMED else own[0] + (own[1] - own[0]) * spread
            planted.add(factor)
        else:
            ratio = plan.imbalance.get(factor, 1.0) if split == "train" else 1.0
            values[factor] = _marginal(factor, side[factor][drawn_as], ratio, spread)
    return values, planted


def _marginal(factor: str, values: tuple[Any, ...], ratio: float, u: float) -> Any:
    """The value at the share u in [0, 1) of a factor's own distribution: all values alike, or, with a ratio above 1,
    falling geometrically from the first value (the low end) to the last by that ratio.
    """
    if factor in NAMED:
        last = max(1, len(values) - 1)
        weights = [ratio ** (-k / last) for k in range(len(values))]
        ends = [sum(weights[: k + 1]) / sum(weights) for k in range(len(values))]
        return values[min(bisect.bisect_right(ends, u), len(values) - 1)]
    low, high = values
    if ratio > 1:  # density ratio^(-x) on [0, 1], inverted
        u = -math.log1p(-u * (1 - 1 / ratio)) / math.log(ratio)
    return low + (high - low) * u
