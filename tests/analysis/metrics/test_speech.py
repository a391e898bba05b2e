"""Measures of speech: plain-loop oracles, properties."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from holdfast.analysis.metrics import speech


def levenshtein(a: Any, b: Any) -> int:
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
    return table[-1][-1]


def oracle_slu_f1(gold: list[list[tuple[str, str]]], predicted: list[list[tuple[str, str]] | None]) -> float:
    tp: Counter[str] = Counter()
    fp, fn = {}, {}  # type: dict[str, float], dict[str, float]
    for variant in ("word", "char"):
        for g, p in zip(gold, predicted, strict=True):
            if p is None:
                continue
            left = list(g)
            for kind, filler in p:
                scored = []
                for place, (other, text) in enumerate(left):
                    if other != kind:
                        continue
                    if variant == "word":
                        d = (
                            levenshtein(text.split(), filler.split()) / len(text.split())
                            if text
                            else float(filler != "")
                        )
                    else:
                        d = levenshtein(text, filler) / max(len(text), len(filler)) if text or filler else 0.0
                    scored.append((d, place))
                if not scored:
                    fp[kind] = fp.get(kind, 0) + 1
                    continue
                d, place = min(scored)
                left.pop(place)
                tp[kind] += 1
                fp[kind] = fp.get(kind, 0) + d
                fn[kind] = fn.get(kind, 0) + d
            for kind, _ in left:
                fn[kind] = fn.get(kind, 0) + 1
    a, b, c = sum(tp.values()), sum(fp.values()), sum(fn.values())
    precision, recall = (a / (a + b) if a + b else 0.0), (a / (a + c) if a + c else 0.0)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_slu_f1_equals_plain_loops() -> None:
    r = random.Random(0)
    words = ["one", "two", "three", "on", "to"]

    def entities() -> list[tuple[str, str]]:
        return [(r.choice("ab"), " ".join(r.choices(words, k=r.randint(0, 3)))) for _ in range(r.randint(0, 4))]

    for _ in range(250):
        n = r.choice([0, 1, 1, 3])
        gold = [entities() for _ in range(n)]
        predicted = [None if r.random() < 0.1 else entities() for _ in range(n)]
        assert speech.slu_f1(gold, predicted) == pytest.approx(oracle_slu_f1(gold, predicted), rel=1e-12)


def test_slu_f1_properties() -> None:
    gold = [[("time", "ten o'clock"), ("date", "monday")], []]
    assert speech.slu_f1(gold, gold) == 1
    assert speech.slu_f1(gold, [[("date", "ten o'clock"), ("person", "monday")], []]) < 1
    assert speech.slu_f1([[("time", "x")]], [[("date", "x")]]) == 0
    counts, _ = speech.slu_counts([[("time", "ten")]], [[("time", "one two three four")]])
    assert counts["time"][1] > 1  # a word distance may exceed the number of entities
    assert speech.slu_counts(gold, [None, []])[1] == 1
    assert speech.slu_counts(gold, [None, []], "count_as_fn")[0]["time"][2] == 2
    assert speech.char_distance("", "") == 0
    assert speech.word_distance("", "x") == 1


def test_word_error_rate() -> None:
    r = random.Random(0)
    for _ in range(100):
        gold = [" ".join(r.choices("abc", k=r.randint(0, 5))) for _ in range(3)]
        predicted = [" ".join(r.choices("abc", k=r.randint(0, 5))) for _ in range(3)]
        edits = sum(levenshtein(g.split(), p.split()) for g, p in zip(gold, predicted, strict=True))
        total = sum(len(g.split()) for g in gold)
        assert speech.wer(gold, predicted) == pytest.approx(edits / total if total else float(edits > 0))
