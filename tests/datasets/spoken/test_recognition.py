"""The model of a recogniser's errors: by ear, at the declared rate, seeded; and rates measured back."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from holdfast.datasets.spoken import corpus, grammar, pronunciations, recognition
from holdfast.datasets.spoken.grammar import Utterance
from holdfast.datasets.spoken.recognition import ErrorModel, Errors
from holdfast.datasets.spoken.speaker import Speaker

WORDS = ["seven", "eleven", "set", "sent", "alarm", "a", "the", "to", "two", "light", "lights", "right", "..."]


@pytest.fixture(scope="module")
def model() -> ErrorModel:
    return ErrorModel(WORDS)


def test_words_have_the_phonemes_of_their_sounds() -> None:
    sounds = pronunciations.pronunciations(WORDS)
    assert sounds["set"] == ("s", "E", "t")
    assert sounds["to"] == sounds["two"]
    assert sounds["seven"][-3:] == sounds["eleven"][-3:]
    assert pronunciations.pronunciations([]) == {}


def test_the_phonemes_are_those_that_are_spoken() -> None:
    words = ["seven", "wake", "mario's", "bohemian"]
    speaker = Speaker()
    try:
        spoken = [
            speaker.speak(Utterance(w, "train", "", "", (), w, w, pronunciations.VOICE, 200, 50, 80.0, 0.0)).phonemes
            for w in words
        ]
    finally:
        speaker.close()
    sounds = pronunciations.pronunciations(words)
    for word, events in zip(words, spoken, strict=True):
        symbols = [corpus.symbol(written) for _, written in events]
        assert sounds[word] == tuple(symbol for symbol in symbols if symbol != "_")


def test_every_symbol_but_silence_is_in_one_class() -> None:
    listed = [symbol for symbols in pronunciations.CLASSES.values() for symbol in symbols]
    assert sorted(listed) == sorted(set(corpus.SYMBOLS) - {"_"})


def test_distances_against_a_plain_table() -> None:
    sounds = {"set": ("s", "E", "t"), "said": ("s", "E", "d"), "sent": ("s", "E", "n", "t"), "shed": ("S", "E", "d")}

    def edits(a: tuple[str, ...], b: tuple[str, ...]) -> int:
        table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
        for i, x in enumerate(a, 1):
            for j, y in enumerate(b, 1):
                table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (x != y))
        return table[-1][-1]

    def rough(a: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(pronunciations.CLASS_OF[x] for x in a)

    found = pronunciations.distances(sounds)
    for i, a in enumerate(sounds.values()):
        for j, b in enumerate(sounds.values()):
            assert found[i, j] == (edits(a, b) + edits(rough(a), rough(b))) / (2 * max(len(a), len(b)))
    assert found[1, 3] == 1 / 6 < found[0, 2] == 1 / 4 < found[0, 1] == 1 / 3  # a sound of its class; one more; another


def test_words_that_sound_alike_are_taken_for_one_another(model: ErrorModel) -> None:
    words, shares = model.confusions("two")
    assert words[0] == "to"
    assert sum(shares) == pytest.approx(1.0)
    assert list(shares) == sorted(shares, reverse=True)
    assert model.confusions("light")[0][:2] in (("lights", "right"), ("right", "lights"))
    assert model.confusions("...") == model.confusions("unheard") == ((), ())


def test_the_rate_is_that_declared_and_each_kind_has_its_share() -> None:
    model = ErrorModel(grammar.vocabulary())
    draws = Random(0)
    sentences = [grammar.sentence(i, "train", draws)[2] for i in grammar.intents() for _ in range(20)]
    made, heard = Errors(), []
    for sentence in sentences:
        text, errors = model.heard(sentence, 0.3, draws)
        made += errors
        heard.append(text)
    n = made.words
    assert n == sum(len(s.split()) for s in sentences) > 5000
    for count, share in ((made.substitutions, 0.7), (made.deletions, 0.2), (made.insertions, 0.1)):
        p = 0.3 * share
        assert abs(count / n - p) < 4 * (p * (1 - p) / n) ** 0.5
    found = recognition.measured(sentences, heard)
    assert found.words == n
    assert 0.9 * made.rate < found.rate <= made.rate  # two errors may look like one


def test_no_rate_makes_no_error_and_a_higher_one_all_of_a_lower(model: ErrorModel) -> None:
    sentence = "set the alarm to seven ... light to the right"
    assert model.heard(sentence, 0.0, Random(1)) == (sentence, Errors(10))
    before = -1
    for rate in np.linspace(0, 1, 9):
        wrong = model.heard(sentence, float(rate), Random(5))[1]
        count = wrong.substitutions + wrong.deletions + wrong.insertions
        assert count >= before
        before = count
    assert before >= 6
    first, second = (model.heard(sentence, 0.5, Random(5))[0] for _ in range(2))
    assert first == second


def test_errors_are_counted_by_the_shortest_alignment() -> None:
    found = recognition.measured(["set an alarm now", "", "a b"], ["sent alarm right now", "a", "a b"])
    assert found == Errors(words=6, substitutions=1 + 0, deletions=1, insertions=1 + 1) or found.rate == 4 / 6
    assert recognition.measured([], []).rate == 0.0


def test_the_vocabulary_has_every_word_that_is_said() -> None:
    known, draws = set(grammar.vocabulary()), Random(3)
    for intent in grammar.intents():
        for split in grammar.SPLITS:
            assert set(grammar.sentence(intent, split, draws)[2].split()) <= known
