"""What is measured of generated text: answers chosen, yes and no, invented objects, repetition, isotropy, posteriors.

Counts are kept batch by batch where a measure is a count; the rest are pure functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
BEST, TRUE, FALSE = 2, 1, 0  # kinds of an answer of a multiple-choice question; below 0: absent


@dataclass
class MultipleChoice:
    """Sums of MC1, MC2 and MC3 over questions, one question at a time (:meth:`update`).

    With s(a) the rule's log-score of an answer, summed over its tokens: MC1 = 1 where the best answer scores above
    every false one; MC2 = Σ_true e^s / Σ e^s; MC3 = share of true answers (the best among them) that score above every
    false one. A tie is not above.

    Source: Lin et al., TruthfulQA, ACL 2022; MC3 as in the code of the decoding papers (DoLa, ICD).
    """

    questions: int = 0
    mc1: float = 0.0
    mc2: float = 0.0
    mc3: float = 0.0

    def update(self, scores: ArrayLike, kinds: ArrayLike) -> None:
        """One question: scores [K], -inf where a rule rules an answer out, and kinds [K] (2 best, 1 true, 0 false, less
        where absent). Raises ValueError without a best answer or a false one, with several best ones, or for NaN.
        """
        mc1, mc2, mc3 = multiple_choice(scores, kinds)
        self.questions += 1
        self.mc1, self.mc2, self.mc3 = self.mc1 + mc1, self.mc2 + mc2, self.mc3 + mc3

    def measures(self) -> dict[str, float]:
        """``mc1``, ``mc2``, ``mc3``; nothing without questions."""
        n = self.questions
        return {"mc1": self.mc1 / n, "mc2": self.mc2 / n, "mc3": self.mc3 / n} if n else {}


def multiple_choice(scores: ArrayLike, kinds: ArrayLike) -> tuple[float, float, float]:
    """MC1, MC2 and MC3 of one question; :class:`MultipleChoice` says how. Where a rule rules every answer out (all
    scores -inf), MC2 is the share of true answers among all: the rule knows none from another.
    """
    s, kind = np.asarray(scores, np.float64), np.asarray(kinds)
    there = kind >= 0
    s, kind = s[there], kind[there]
    if (kind == BEST).sum() != 1 or not (kind == FALSE).any():
        raise ValueError("a multiple-choice question needs one best answer and at least one false one")
    if np.isnan(s).any():
        raise ValueError("a score of an answer is not a number")
    highest = s[kind == FALSE].max()
    true = kind >= TRUE
    if np.isneginf(s).all():
        weights = np.ones(len(s))
    else:
        weights = np.exp(s - s.max())
    return (
        float(s[kind == BEST][0] > highest),
        float(weights[true].sum() / weights.sum()),
        float((s[true] > highest).mean()),
    )


@dataclass
class YesNo:
    """Answers to yes/no questions, by truth and answer; yes is the positive class.

    Source: Li et al., Evaluating object hallucination in large vision-language models (POPE), EMNLP 2023.
    """

    true_yes: int = 0
    false_yes: int = 0
    true_no: int = 0
    false_no: int = 0

    def update(self, truth: ArrayLike, answers: ArrayLike) -> None:
        """A batch: booleans or 0 and 1, [B] each. Raises ValueError for anything else."""
        t, a = np.asarray(truth), np.asarray(answers)
        if t.shape != a.shape or not (np.isin(t, (0, 1)).all() and np.isin(a, (0, 1)).all()):
            raise ValueError("answers and truth must be 1 (yes) or 0 (no), one of each a question")
        self.true_yes += int(((t == 1) & (a == 1)).sum())
        self.false_yes += int(((t == 0) & (a == 1)).sum())
        self.true_no += int(((t == 0) & (a == 0)).sum())
        self.false_no += int(((t == 1) & (a == 0)).sum())

    def measures(self) -> dict[str, float]:
        """``accuracy``, ``precision``, ``recall``, ``f1`` and ``yes_share`` (answers that are yes). One without rows to
        count is left out; F1 is 0 where no yes is right.
        """
        yes, positive = self.true_yes + self.false_yes, self.true_yes + self.false_no
        n = yes + self.true_no + self.false_no
        found: dict[str, float] = {}
        if n:
            found |= {"accuracy": (self.true_yes + self.true_no) / n, "yes_share": yes / n}
        if yes:
            found["precision"] = self.true_yes / yes
        if positive:
            found["recall"] = self.true_yes / positive
        if yes + positive:
            found["f1"] = 2 * self.true_yes / (yes + positive)
        return found


@dataclass
class Chair:
    """Objects that captions mention and pictures do not show.

    ``chair_i`` = invented mentions / mentions; ``chair_s`` = captions with an invented mention / captions;
    ``object_recall`` = objects shown and mentioned / objects shown.

    Source: Rohrbach et al., Object hallucination in image captioning, EMNLP 2018.
    """

    captions: int = 0
    with_invented: int = 0
    mentions: int = 0
    invented: int = 0
    shown: int = 0
    found: int = 0

    def update(self, mentioned: Sequence[Hashable], shown: Collection[Hashable]) -> None:
        """One caption: its mentions in order (a repeated mention counts each time), and the objects in its picture."""
        present = set(shown)
        wrong = sum(name not in present for name in mentioned)
        self.captions += 1
        self.with_invented += wrong > 0
        self.mentions += len(mentioned)
        self.invented += wrong
        self.shown += len(present)
        self.found += len(present & set(mentioned))

    def measures(self) -> dict[str, float]:
        """Those that have something to count."""
        found: dict[str, float] = {}
        if self.mentions:
            found["chair_i"] = self.invented / self.mentions
        if self.captions:
            found["chair_s"] = self.with_invented / self.captions
        if self.shown:
            found["object_recall"] = self.found / self.shown
        return found


@dataclass
class Repetition:
    """n-grams of generated texts, n = 2, 3, 4: how many, and how many of them differ within their text.

    ``as_published``: as SimCTG's counter does it: by a slip the last n-gram of each text is not counted, and every
    ``rep_n`` is rounded to two digits before ``diversity`` is made of them.
    """

    as_published: bool = False

    def __post_init__(self) -> None:
        self.total, self.unique = (dict.fromkeys((2, 3, 4), 0) for _ in range(2))

    def update(self, tokens: Sequence[Hashable]) -> None:
        """One text, its tokens in order; what is no text (padding, the end) is not given."""
        for n in self.total:
            grams = [tuple(tokens[k : k + n]) for k in range(len(tokens) - n + 1 - self.as_published)]
            self.total[n] += len(grams)
            self.unique[n] += len(set(grams))

    def measures(self) -> dict[str, float]:
        """``rep_n`` = 100 (1 - unique / all n-grams), in %, pooled over texts, and ``diversity`` = Π_n (1 - rep_n /
        100), n = 2, 3, 4. A length without n-grams is left out, and diversity with it.

        Source: Welleck et al., Neural text generation with unlikelihood training, ICLR 2020; Su et al., A contrastive
        framework for neural text generation (SimCTG), NeurIPS 2022.
        """
        found = {f"rep_{n}": 100 * (1 - self.unique[n] / total) for n, total in self.total.items() if total}
        if self.as_published:
            found = {name: round(value, 2) for name, value in found.items()}
        if len(found) == len(self.total):
            found["diversity"] = float(np.prod([1 - value / 100 for value in found.values()]))
        return found


def repeated_within(tokens: Sequence[Hashable], window: int = 20) -> float:
    """Share of tokens that are among the ``window`` tokens before them (``rep`` of RankGen's paper, section 3.1);
    NaN without tokens.
    """
    if not tokens:
        return float("nan")
    return sum(token in tokens[max(0, k - window) : k] for k, token in enumerate(tokens)) / len(tokens)


def unigram_f1(tokens: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """F1 of the words of two texts, each counted as often as both have it; 0 where they share none."""
    shared = sum((Counter(tokens) & Counter(reference)).values())
    return 2 * shared / (len(tokens) + len(reference)) if shared else 0.0


def isotropy(states: Iterable[ArrayLike]) -> float:
    """1 - mean cosine of two states of one text, over all ordered pairs of all texts: 1 of orthogonal states, 0 of
    equal ones; NaN where no text has two.

    ``states``: [T_b, d] of each text, valid positions alone. A state of norm below 1e-12 counts as that long.

    Source: Su and Collier, Contrastive search is what you need for neural text generation, TMLR 2023, equation 4.
    """
    total, pairs = 0.0, 0
    for rows in states:
        h = np.asarray(rows, np.float64)
        n = len(h)
        if n < 2:
            continue
        unit = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12)
        sums = unit.sum(0)
        total += float(sums @ sums - (unit * unit).sum())
        pairs += n * (n - 1)
    return 1 - total / pairs if pairs else float("nan")


def isotropy_parts(states: Sequence[ArrayLike]) -> dict[str, float]:
    """``isotropy``, the same with the mean state of all texts removed (``centred``), and the share of the states'
    squared length along their first principal direction (``top_direction``): a single common direction explains a low
    isotropy. ``states`` as of :func:`isotropy`.
    """
    joined = np.concatenate([np.asarray(rows, np.float64) for rows in states])
    mean = joined.mean(0)
    singular = np.linalg.svd(joined, compute_uv=False)
    energy = float((singular**2).sum())
    return {
        "isotropy": isotropy(states),
        "centred": isotropy([np.asarray(rows, np.float64) - mean for rows in states]),
        "top_direction": float(singular[0] ** 2 / energy) if energy else float("nan"),
    }


@dataclass
class PosteriorError:
    """Weighted strings against the exact posterior over all strings, ``exact`` (string -> probability, sum 1).

    A run's weights are normalised; runs are averaged (:meth:`add`), a run without particles counting nowhere.
    """

    exact: Mapping[Hashable, float]

    def __post_init__(self) -> None:
        self.mass: dict[Hashable, float] = {}
        self.runs = 0
        self.failed = 0

    def add(self, weighted: Mapping[Hashable, float]) -> None:
        """One run: string -> weight, any scale. Empty, or all weights 0: the run has failed."""
        total = sum(weighted.values())
        if not total > 0:
            self.failed += 1
            return
        self.runs += 1
        for string, weight in weighted.items():
            self.mass[string] = self.mass.get(string, 0.0) + weight / total

    def measures(self) -> dict[str, float]:
        """``total_variation`` = ½ Σ |q - p|, in [0, 1]; ``kl`` = KL(q ‖ p) in nats, q the mean of the runs: finite as
        long as q holds allowed strings alone, so that it is defined for few particles too; ``kl_exact`` = KL(p ‖ q)
        with the mass that no run has found left out (``unseen``, its share); ``failed``, share of failed runs.
        """
        found: dict[str, float] = {}
        if self.runs + self.failed:
            found["failed"] = self.failed / (self.runs + self.failed)
        if not self.runs:
            return found
        q = {string: mass / self.runs for string, mass in self.mass.items()}
        strings = q.keys() | self.exact.keys()
        found["total_variation"] = sum(abs(q.get(s, 0.0) - self.exact.get(s, 0.0)) for s in strings) / 2
        found["kl"] = divergence(q, self.exact)
        seen = {s: p for s, p in self.exact.items() if q.get(s, 0.0) > 0}
        found["unseen"] = max(0.0, 1 - sum(seen.values()))
        if seen:
            whole = sum(seen.values())
            found["kl_exact"] = divergence({s: p / whole for s, p in seen.items()}, q)
        return found


def divergence(p: Mapping[Hashable, float], q: Mapping[Hashable, float]) -> float:
    """KL(p ‖ q) = Σ p log(p / q) in nats of two distributions over strings; infinite where q misses a string of p."""
    total = 0.0
    for string, mass in p.items():
        if mass > 0:
            other = q.get(string, 0.0)
            if not other > 0:
                return float("inf")
            total += mass * float(np.log(mass / other))
    return total
