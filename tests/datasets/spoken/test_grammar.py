"""The grammar of the spoken stand-in."""

from __future__ import annotations

from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.coconut import speech
from holdfast.datasets.spoken import grammar


def test_grammar_is_as_large_and_varied_as_promised() -> None:
    assert len(grammar.grammar()["intents"]) == 18
    assert len(grammar.intents()) >= 50
    assert len(grammar.grammar()["entities"]) >= 20
    assert min(len(grammar.phrasings(intent)) for intent in grammar.intents()) >= 15
    for intent in grammar.intents():
        splits = [set(grammar.phrasings_of_split(intent, split)) for split in grammar.SPLITS]
        assert all(splits)
        assert not splits[0] & splits[1]
        assert not splits[0] & splits[2]
        assert not splits[1] & splits[2]


def test_the_corpus_is_no_keyword_game_and_shares_no_voice() -> None:
    found = coconut_slurp.check(coconut_slurp.Config(n_train=30), None)
    assert found["bag_of_words_accuracy"] <= 0.97
    assert found["single_word_share"] <= 0.2
    assert found["voices_in_two_splits"] == 0
    assert found["sentences"] > 2000


def test_counts_of_one_intent_move_no_other() -> None:
    voices = speech.split_voices()
    names = grammar.intents()
    few = grammar.sample(grammar.Plan({"train": 2, "valid": 1, "test": 1}, names[:2], voices))
    many = {u.id: u for u in grammar.sample(grammar.Plan({"train": 5, "valid": 1, "test": 3}, names, voices))}
    assert all(many[u.id] == u for u in few)
