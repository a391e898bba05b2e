"""The four operations of EDA by their properties; the authors' recorded draws are golden."""

from __future__ import annotations

import random

import pytest
from holdfast.datasets.transforms import word_operations as words

SENTENCE = ["the", "acting", "is", "dull", "and", "the", "plot", "is", "thin"]
KNOWN = {"acting": ["playing"], "dull": ["boring", "very dim"], "plot": ["story"]}


def known(word: str) -> list[str]:
    return KNOWN.get(word, [])


@pytest.mark.parametrize("seed", range(20))
def test_swap_keeps_the_words_and_deletion_their_order(seed: int) -> None:
    draws = random.Random(seed)
    assert sorted(words.swap(SENTENCE, 3, draws)) == sorted(SENTENCE)
    kept = words.delete(SENTENCE, 0.5, draws)
    rest = iter(SENTENCE)
    assert kept
    assert all(word in rest for word in kept)
    assert words.delete(SENTENCE, 0.0, draws) == SENTENCE


@pytest.mark.parametrize("seed", range(20))
def test_replacement_keeps_stop_words_and_insertion_adds_at_most_n_synonyms(seed: int) -> None:
    draws = random.Random(seed)
    replaced = " ".join(words.replace(SENTENCE, 2, known, draws)).replace("very dim", "boring").split()
    assert [a for a, b in zip(SENTENCE, replaced, strict=True) if a != b and a in words.STOP_WORDS] == []
    assert sum(a != b for a, b in zip(SENTENCE, replaced, strict=True)) == 2
    longer = words.insert(SENTENCE, 3, known, draws)
    assert len(SENTENCE) <= len(longer) <= len(SENTENCE) + 3
    assert longer[-1] == SENTENCE[-1], "nothing is inserted at the very end"
    assert set(longer) - set(SENTENCE) <= {"playing", "boring", "story"}, "the first synonym alone"


def test_one_word_and_no_synonyms() -> None:
    draws = random.Random(0)
    assert words.delete(["great"], 1.0, draws) == ["great"]
    assert words.swap(["great"], 2, draws) == ["great"]
    assert words.insert(["great"], 2, lambda _: [], draws) == ["great"]
    assert words.replace(["great"], 2, lambda _: [], draws) == ["great"]
    assert words.delete(["a", "b"], 1.0, draws) in (["a"], ["b"])


def test_digits_stay_where_they_are_asked_for() -> None:
    assert words.clean("Don\u2019t pay 10-20!") == "dont pay "
    assert words.clean("Don't pay 10-20!", keep_digits=True) == "dont pay 10 20 "
    assert words.clean("123") == words.clean("") == ""
    assert len(words.STOP_WORDS) == 127
