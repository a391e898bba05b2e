"""Does the drawn set have what its plan declares, and what hangs together beside that?

An association of a plan is measured as a share of training rows, whose expected value p follows from the plan:

| declared | share of the rows | p |
|---|---|---|
| bias b of F on G | whose F is at the level that belongs to their G | b + (1 - b) q, q: the level's own share |
| drift s of F | of an experience, whose F is the experience's | s + (1 - s) q |
| overlap o | that are in the home experience of their class | 1 - o + o / E |
| imbalance of F by r | below the middle of F's range, or with its first value | of the geometric fall by r |
| imbalance of the label | number of rows, first class over last | r, rounded to rows |

The tolerance is 4 sqrt(p (1 - p) / n) + 1 / n of n rows (4 standard errors: one set in 16,000 is refused by chance).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..spoken.grammar import SPLITS
from .draw import Row, counts, homes
from .factors import FACTORS, NAMED
from .plan import Plan

PARTS = 4  # equal parts of a measured factor's range, for mutual information
WIDTH = 4.0  # of the tolerance, in standard errors


@dataclass(frozen=True)
class Declared:
    """One declared association: what it is, the share that the plan implies, the share found, and how far both may lie
    apart, over ``rows`` rows.
    """

    what: str
    expected: float
    found: float
    tolerance: float
    rows: int

    @property
    def holds(self) -> bool:
        return abs(self.expected - self.found) <= self.tolerance


def _share(what: str, p: float, hits: Iterable[bool]) -> Declared:
    hits = list(hits)
    n = max(1, len(hits))
    return Declared(what, p, sum(hits) / n, WIDTH * math.sqrt(p * (1 - p) / n) + 1 / n, len(hits))


def declared(plan: Plan, rows: Sequence[Row], seed: int) -> list[Declared]:
    """Every association that the plan declares, measured in training rows of the background (all, where there is no
    target).
    """
    train = [row for row in rows if row.utterance.split == "train" and not row.is_target]
    found = [_bias(plan, factor, of, b, train) for (factor, of), b in plan.bias.items()]
    for factor, values in plan.drift.items():
        for k, value in enumerate(values):
            own = [row for row in train if row.experience == k]
            q = _shares(plan, factor, value)
            p = plan.drift_strength + (1 - plan.drift_strength) * q
            what = f"drift of {factor} to {_word(value)} in experience {k}"
            found.append(_share(what, p, (_at(row, factor, value) for row in own)))
    if plan.experiences > 1:
        home = homes(plan, seed)
        p = 1 - plan.overlap + plan.overlap / plan.experiences
        found.append(_share("rows in the experience of their class", p, (r.experience == home[r.label] for r in train)))
    for factor, ratio in plan.imbalance.items():
        found.append(_imbalance(plan, factor, ratio, train))
    return found


def _bias(plan: Plan, factor: str, of: str, b: float, train: Sequence[Row]) -> Declared:
    owns = [plan.own(factor, of, str(row.values[of])) for row in train]
    q = float(np.mean([_shares(plan, factor, own) for own in owns]))
    aligned = (_at(row, factor, own) for row, own in zip(train, owns, strict=True))
    return _share(f"{factor} follows {of} ({b:g})", b + (1 - b) * q, aligned)


def _imbalance(plan: Plan, factor: str, ratio: float, train: Sequence[Row]) -> Declared:
    if factor == plan.label:
        n, expected = Counter(row.label for row in train), counts(plan, "train")
        last = len(plan.classes) - 1
        what = f"rows, {plan.classes[0]} over {plan.classes[-1]}"
        return Declared(what, expected[0] / expected[-1], n[0] / n[last], 1e-9, len(train))
    values = plan.factors[factor]["train"]
    own = [row for row in train if factor not in row.planted]
    if factor in NAMED:
        p = 1 / sum(ratio ** (-k / max(1, len(values) - 1)) for k in range(len(values)))
        return _share(f"{factor} {values[0]}, first of {len(values)}", p, (r.values[factor] == values[0] for r in own))
    middle = sum(values) / 2
    p = (1 - ratio**-0.5) / (1 - 1 / ratio) if ratio > 1 else 0.5
    return _share(f"{factor} below {middle:g}", p, (r.values[factor] < middle for r in own))


def _shares(plan: Plan, factor: str, value: Any) -> float:
    """How often a value that nothing planted is this one, or in this part of the range, in training."""
    values, ratio = plan.factors[factor]["train"], plan.imbalance.get(factor, 1.0)
    if factor in NAMED:
        weights = [ratio ** (-k / max(1, len(values) - 1)) for k in range(len(values))]
        return weights[values.index(value)] / sum(weights) if value in values else 0.0
    low, high = values
    if high == low:
        return float(value[0] <= low <= value[1])
    ends = [min(1.0, max(0.0, (end - low) / (high - low))) for end in value]
    below = [e if ratio == 1 else (1 - ratio**-e) / (1 - 1 / ratio) for e in ends]
    return below[1] - below[0]


def _at(row: Row, factor: str, value: Any) -> bool:
    mine = row.values[factor]
    return bool(mine == value if factor in NAMED else value[0] <= mine <= value[1])


def _word(value: Any) -> str:
    return str(value) if isinstance(value, str) else "-".join(f"{v:g}" for v in dict.fromkeys(value))


# -- what hangs together -----------------------------------------------------------------------------------------------


def columns(plan: Plan, rows: Sequence[Row]) -> dict[str, list[str]]:
    """The factors of each row as words: what varies of experience, set, label and all factors; measured ones by
    quarters of the range that the rows have. Words of a sentence are left out: hardly one is spoken twice.
    """
    made: dict[str, list[str]] = {
        "experience": [str(row.experience) for row in rows],
        "set": ["target" if row.is_target else "background" for row in rows],
        "scenario": [row.utterance.scenario for row in rows],
        "intent": [row.utterance.intent for row in rows],
        "action": [row.utterance.action for row in rows],
        "entities": ["+".join(sorted({kind for kind, _ in row.utterance.entities})) or "none" for row in rows],
    }
    for factor in FACTORS:
        made[factor] = [str(row.values[factor]) for row in rows]
        if factor not in NAMED:
            made[factor] = _parts([float(row.values[factor]) for row in rows])
    return {name: values for name, values in made.items() if len(set(values)) > 1}


def _parts(values: Sequence[float]) -> list[str]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high == low:
        return [f"{low:g}"] * len(values)
    edges = [low + (high - low) * k / PARTS for k in range(PARTS + 1)]
    at = [min(PARTS - 1, int((v - low) / (high - low) * PARTS)) for v in values]
    return [f"{edges[k]:.3g} to {edges[k + 1]:.3g}" for k in at]


def mutual_information(first: Sequence[str], second: Sequence[str]) -> tuple[float, float]:
    """(I, p) of two columns: mutual information in bits, less what n independent rows show on average, (A - 1) (B - 1)
    / (2 n ln 2) of A and B values (Miller and Madow), not below 0; and the p-value of the likelihood-ratio test that
    they are independent.
    """
    from scipy.stats import chi2

    n, a, b, both = len(first), Counter(first), Counter(second), Counter(zip(first, second, strict=True))
    bits = sum(c / n * math.log2(c * n / (a[x] * b[y])) for (x, y), c in both.items())
    degrees = (len(a) - 1) * (len(b) - 1)
    if not degrees:
        return 0.0, 1.0
    p = float(chi2.sf(2 * n * bits * math.log(2), degrees))
    return max(0.0, bits - degrees / (2 * n * math.log(2))), p


def table(first: Sequence[str], second: Sequence[str]) -> dict[str, dict[str, int]]:
    """Rows by both columns, their values in alphabetical order (by number where they are numbers)."""
    both = Counter(zip(first, second, strict=True))
    return {x: {y: both[x, y] for y in _ordered(second)} for x in _ordered(first)}


def _ordered(values: Sequence[str]) -> list[str]:
    def key(value: str) -> tuple[float, str]:
        try:
            return float(value.partition(" ")[0]), value
        except ValueError:
            return math.inf, value

    return sorted(set(values), key=key)


def described(plan: Plan, rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """What ``suites data check`` prints: rows of each split, declared associations, tables of the declared pairs, the
    mutual information of all pairs in training, and ``faults``: associations that the set does not have.
    """
    document: dict[str, Any] = {"source": "stand-in"}
    for split in dict.fromkeys((*SPLITS, *(row.utterance.split for row in rows))):
        mine = [row for row in rows if row.utterance.split == split]
        part = {"rows": len(mine), "sentences": len({row.utterance.words for row in mine})}
        for name in ("accent", "voice", "synthesiser"):
            part[f"{name}s"] = len({row.values[name] for row in mine})
        document[split] = part
    train = [row for row in rows if row.utterance.split == "train"]
    found, values = declared(plan, rows, seed), columns(plan, train)
    document["declared"] = [{**asdict(one), "holds": one.holds} for one in found]
    document["tables"] = {
        f"{of} by {factor}": table(values[of], values[factor])
        for factor, of in (*plan.bias, *((factor, "experience") for factor in plan.drift))
        if factor in values and of in values
    }
    pairs = {(x, y): mutual_information(values[x], values[y]) for x, y in itertools.combinations(values, 2)}
    document["mutual_information"] = [
        {"first": x, "second": y, "bits": bits, "p": p} for (x, y), (bits, p) in pairs.items()
    ]
    document["faults"] = faults(found)
    return document


def faults(found: Sequence[Declared]) -> list[str]:
    """Sentences for the associations that the drawn set does not have."""
    return [
        f"{one.what}: {one.found:.3f} of {one.rows} training rows, and the plan implies {one.expected:.3f} within "
        f"{one.tolerance:.3f} (another data.options.seed, or more rows)"
        for one in found
        if not one.holds
    ]
