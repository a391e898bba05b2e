"""The stand-ins: balanced, seeded, distinct, decided by their grammar, and with synonyms in the lexicon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.peft import superglue, toy_nli, toy_sentiment, toy_topic
from holdfast.datasets.transforms import synonyms
from holdfast.datasets.transforms.word_operations import STOP_WORDS, clean

TOYS: list[tuple[Any, dict[str, Any], int]] = [
    (toy_sentiment, {}, 2),
    (toy_topic, {"topics": 6}, 6),
    (toy_nli, {}, 3),
    *((superglue, {"task": task}, 3 if task == "cb" else 2) for task in superglue.FORMS),
]


def rows(module: Any, **options: Any) -> list[tuple[tuple[str, ...], int]]:
    made = module.load(module.Config(rows=300, **options), None)
    found = []
    for table in made.splits.values():
        columns = [texts.unpacked(table.columns[field]) for field in made.info.fields]
        found += list(zip(zip(*columns, strict=True), table.columns["label"].tolist(), strict=True))
    return found


@pytest.mark.parametrize(("module", "options", "classes"), TOYS)
def test_they_are_balanced_distinct_and_seeded(module: Any, options: dict[str, Any], classes: int) -> None:
    made = rows(module, **options)
    assert len({pair for pair, _ in made}) == len(made) >= 280
    counts = [sum(label == k for _, label in made) for k in range(classes)]
    assert max(counts) - min(counts) <= 12
    assert rows(module, **options) == made
    assert set(rows(module, **options, seed=1)) != set(made)
    first = module.load(module.Config(rows=300, **options), None)
    assert first.source == "stand-in"
    assert first.info.classes == len(first.class_names) == classes


@pytest.mark.parametrize("module", [toy_sentiment, toy_topic, toy_nli])
def test_a_root_is_refused(module: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is generated and reads no files"):
        module.load(module.Config(), tmp_path)


def test_the_lexicon_knows_the_generated_words() -> None:
    known = synonyms.provider("lexicon")
    for module in (toy_sentiment, toy_topic):
        words = {w for (text,), _ in rows(module) for w in clean(text).split() if w not in STOP_WORDS}
        assert sum(bool(known(word)) for word in words) > 0.8 * len(words)


def test_negation_turns_an_opinion() -> None:
    checked = 0
    for (text,), label in rows(toy_sentiment):
        clause = text.rstrip(".").split(" but ")[-1] if " but " in text else text
        good = [word in toy_sentiment.GOOD for word in clause.replace(".", "").split()]
        if " not " in clause and " but " not in text and " and i " not in text and clause.count(" is ") == 1:
            after = clause.split(" not ")[1].split()[0].strip(".")
            if after in (*toy_sentiment.GOOD, *toy_sentiment.BAD) and sum(good) <= 1:
                assert (after in toy_sentiment.BAD) == bool(label)
                checked += 1
    assert checked > 10


def test_a_weaker_number_follows_and_an_exact_other_one_does_not() -> None:
    order = {word: k for k, word in enumerate(toy_nli.NUMBERS)}
    for (premise, hypothesis), label in rows(toy_nli):
        number = order[premise.split()[0]]
        if hypothesis.startswith("at least"):
            assert label == 0
            assert order[hypothesis.split()[2]] < number
        if hypothesis.startswith("exactly"):
            assert label == 1
            assert order[hypothesis.split()[1]] != number
        if hypothesis.startswith(("no ", "nobody")):
            assert label == 1


def test_questions_are_answered_by_their_passage() -> None:
    for (question, passage), label in rows(superglue, task="boolq"):
        words = question.split()  # is the THING of the OWNER COLOUR
        assert (f"the {words[5]} has a {words[6]} {words[2]}" in passage) == bool(label)
