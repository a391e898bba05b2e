"""Metrics of spoken language understanding: intent accuracy, WER, SLU-F1 (as SLURP's official tool)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rapidfuzz.distance import Levenshtein

Entity = tuple[str, str]
Counts = dict[str, list[float]]  # label -> [TP, FP, FN]


def word_edits(gold: str, predicted: str) -> tuple[int, int]:
    """Word edits from one text to the other, and words of the gold one."""
    words = gold.split()
    return Levenshtein.distance(words, predicted.split()), len(words)


def word_error_rate(edits: int, words: int) -> float:
    """Edits a gold word; 0 for no gold words and no edits, 1 with edits."""
    return edits / words if words else float(edits > 0)


def wer(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Corpus-level word error rate: all word edits over all gold words (:func:`word_error_rate`)."""
    counts = [word_edits(g, p) for g, p in zip(gold, predicted, strict=True)]
    return word_error_rate(sum(edits for edits, _ in counts), sum(words for _, words in counts))


def word_distance(gold: str, predicted: str) -> float:
    """Word edits over gold words, may exceed 1; an empty gold filler: 0 if both are empty, else 1 (the tool raises
    there).
    """
    words = gold.split()
    if not words:
        return float(bool(predicted.split()))
    return Levenshtein.distance(words, predicted.split()) / len(words)


def char_distance(gold: str, predicted: str) -> float:
    """Levenshtein over the longer length; 0 if both are empty."""
    longest = max(len(gold), len(predicted))
    return Levenshtein.distance(gold, predicted) / longest if longest else 0.0


def entity_counts(
    gold: Sequence[Entity], predicted: Sequence[Entity], distance: Callable[[str, str], float], counts: Counts
) -> None:
    """Add one recording's TP, FP, FN by type: a prediction takes the nearest gold entity of its type that is left
    (first on ties).
    """
    left = list(gold)
    for kind, filler in predicted:
        same = [i for i, (other, _) in enumerate(left) if other == kind]
        if not same:
            counts[kind][1] += 1
            continue
        distances = [distance(left[i][1], filler) for i in same]
        best = min(range(len(same)), key=distances.__getitem__)
        counts[kind][0] += 1
        counts[kind][1] += distances[best]
        counts[kind][2] += distances[best]
        del left[same[best]]
    for kind, _ in left:
        counts[kind][2] += 1


def exact_counts(gold: Sequence[Entity], predicted: Sequence[Entity], counts: Counts) -> None:
    """Equal (type, filler) pairs with multiplicity."""
    left = list(gold)
    for pair in predicted:
        if pair in left:
            left.remove(pair)
            counts[pair[0]][0] += 1
        else:
            counts[pair[0]][1] += 1
    for kind, _ in left:
        counts[kind][2] += 1


def label_counts(gold: str, predicted: str, counts: Counts) -> None:
    """Single-label counts (scenario, action, intent)."""
    if gold == predicted:
        counts[gold][0] += 1
    else:
        counts[predicted][1] += 1
        counts[gold][2] += 1


def f1(counts: Counts, average: Literal["micro", "macro"] = "micro") -> tuple[float, float, float]:
    """(precision, recall, F1): of the summed counts (micro), or the unweighted means over labels (macro). Zero
    denominators give 0.
    """

    def one(tp: float, fp: float, fn: float) -> tuple[float, float, float]:
        p = tp / (tp + fp) if tp + fp else 0.0
        r = tp / (tp + fn) if tp + fn else 0.0
        return p, r, 2 * p * r / (p + r) if p + r else 0.0

    if average == "micro":
        tp, fp, fn = (sum(row[i] for row in counts.values()) for i in range(3))
        return one(tp, fp, fn)
    rows = [one(*row) for row in counts.values()]
    if not rows:
        return 0.0, 0.0, 0.0
    p, r, f = (sum(row[i] for row in rows) / len(rows) for i in range(3))
    return p, r, f


def new_counts() -> Counts:
    return defaultdict(lambda: [0.0, 0.0, 0.0])


def slu_counts(
    gold: Sequence[Sequence[Entity]],
    predicted: Sequence[Sequence[Entity] | None],
    missing: Literal["skip", "count_as_fn"] = "skip",
) -> tuple[Counts, int]:
    """Summed counts of the word and the char variant, and how many recordings have no prediction (None).

    ``missing``: the tool skips those; ``count_as_fn`` counts their gold entities as missed.
    """
    counts = new_counts()
    absent = 0
    for g, p in zip(gold, predicted, strict=True):
        if p is None:
            absent += 1
            if missing == "skip":
                continue
        for distance in (word_distance, char_distance):
            entity_counts(g, p or (), distance, counts)
    return counts, absent


def slu_f1(
    gold: Sequence[Sequence[Entity]],
    predicted: Sequence[Sequence[Entity] | None],
    average: Literal["micro", "macro"] = "micro",
) -> float:
    """SLU-F1 as the official tool reports it."""
    return f1(slu_counts(gold, predicted)[0], average)[2]


class SpeechCounts:
    """What decoded texts say beside gold ones (both extended transcripts), counted recording by recording."""

    def __init__(self) -> None:
        self.rows = self.intents_right = self.scenarios_right = self.empty = self.edits = self.words = 0
        self.intents, self.entities = new_counts(), new_counts()

    def add(self, said: str, gold: str, parsed: Any, parsed_gold: Any, entities: Sequence[Entity]) -> None:
        """Count a recording: its texts, what they parse into (``scenario``, ``intent``, ``entities``), and the gold
        entities as annotated, which the official tool compares with their punctuation.
        """
        self.rows += 1
        self.intents_right += parsed.intent == parsed_gold.intent
        self.scenarios_right += parsed.scenario == parsed_gold.scenario
        self.empty += not said
        edits, words = word_edits(gold, said)
        self.edits, self.words = self.edits + edits, self.words + words
        label_counts(parsed_gold.intent, parsed.intent, self.intents)
        for distance in (word_distance, char_distance):
            entity_counts(entities, parsed.entities, distance, self.entities)

    def measures(self) -> dict[str, float]:
        """``accuracy`` (intent), ``scenario_accuracy``, ``wer`` (of the whole extended transcript), ``slu_f1`` and
        ``slu_f1_macro`` (micro and macro over entity types), ``intent_f1_macro`` (unweighted mean of the intents' F1),
        ``empty`` (share of empty outputs, which count as wrong).
        """
        n = max(1, self.rows)
        return {
            "accuracy": self.intents_right / n,
            "scenario_accuracy": self.scenarios_right / n,
            "wer": word_error_rate(self.edits, self.words),
            "slu_f1": f1(self.entities, "micro")[2],
            "slu_f1_macro": f1(self.entities, "macro")[2],
            "intent_f1_macro": f1(self.intents, "macro")[2],
            "empty": self.empty / n,
        }


def score_release(
    gold: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The official tool's tables from SLURP's release format: ``{average: {section: {label | "overall": [P, R, F1, TP,
    FP, FN]}}}``.
    """
    by_file = {p["file"]: p for p in predictions}
    names = ("scenario", "action", "intent", "entities_exact", "entities_word", "entities_char", "slu_f1")
    counts = {name: new_counts() for name in names}
    absent = 0
    for row in gold:
        surface = {token["id"]: token["surface"].lower() for token in row["tokens"]}
        entities = [(e["type"], " ".join(surface[i] for i in e["span"])) for e in row["entities"]]
        for recording in row["recordings"]:
            p = by_file.get(recording["file"])
            if p is None:
                absent += 1
                continue
            predicted = [(e["type"], e["filler"]) for e in p["entities"]]
            label_counts(row["scenario"], p["scenario"], counts["scenario"])
            label_counts(row["action"], p["action"], counts["action"])
            label_counts(f"{row['scenario']}_{row['action']}", f"{p['scenario']}_{p['action']}", counts["intent"])
            exact_counts(entities, predicted, counts["entities_exact"])
            for distance, name in ((word_distance, "entities_word"), (char_distance, "entities_char")):
                entity_counts(entities, predicted, distance, counts[name])
                entity_counts(entities, predicted, distance, counts["slu_f1"])
    result: dict[str, dict[str, Any]] = {}
    averages: tuple[Literal["micro", "macro"], ...] = ("micro", "macro")
    for average in averages:
        result[average] = {"not_predicted": absent}
        for name, table in counts.items():
            rows = {label: [*f1({label: row}), *row] for label, row in table.items()}
            rows["overall"] = [*f1(table, average), *(sum(row[i] for row in table.values()) for i in range(3))]
            result[average][name] = rows
    return result
