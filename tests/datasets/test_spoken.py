"""The spoken world: deterministic sound, disjoint splits, difficulty, cache, and the shipped encoder's hearing."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import torch
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.coconut import speech
from holdfast.datasets.core import cache
from holdfast.datasets.spoken import grammar
from holdfast.datasets.spoken.corpus import SYMBOLS, spoken
from holdfast.datasets.spoken.grammar import Utterance
from holdfast.datasets.spoken.speaker import Speaker, SpeechError, speak_all
from holdfast.methods.networks import acoustic
from holdfast.suites.runtime.pretrain_acoustic import frame_accuracy

SMALL = coconut_slurp.Config(n_train=1, n_valid=1, n_test=1, seed=5)


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


def digests(rows: list[Utterance], workers: int) -> list[str]:
    found = [""] * len(rows)

    def each(i: int, speech: object) -> None:
        found[i] = hashlib.sha256(speech.samples.tobytes()).hexdigest()  # type: ignore[attr-defined]

    speak_all(rows, each, workers)
    return found


def test_an_utterance_sounds_the_same_alone_first_last_and_with_two_workers() -> None:
    rows = coconut_slurp.utterances(SMALL)[:9]
    together = digests(rows, 1)
    assert digests(rows, 2) == together
    assert digests(rows[4:5], 1) == together[4:5]
    assert digests(rows[::-1], 1) == together[::-1]
    assert len(set(together)) == len(rows)


def test_an_unknown_voice_is_said() -> None:
    row = coconut_slurp.utterances(SMALL)[0]
    speaker = Speaker()
    try:
        with pytest.raises(SpeechError, match="unknown voice"):
            speaker.speak(Utterance(**{**vars(row), "voice": grammar.Voice("nowhere", "m1")}))
        assert len(speaker.speak(row).samples) > 1000  # and the speaker goes on
        speaker._process.kill()
        with pytest.raises(SpeechError, match="died"):
            speaker.speak(row)
    finally:
        speaker.close()


def test_cache_rebuilds_what_is_damaged() -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(1)
        (folder / "x").write_text("content")

    folder = cache.get_or_build({"kind": "test"}, build)
    assert cache.get_or_build({"kind": "test"}, build) == folder
    assert len(built) == 1
    (folder / "x").write_text("damaged")
    assert not cache.whole(folder)
    cache.get_or_build({"kind": "test"}, build)
    assert len(built) == 2
    assert (folder / "x").read_text() == "content"
    (folder / "x").unlink()
    cache.get_or_build({"kind": "test"}, build)
    assert len(built) == 3

    def failing(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.get_or_build({"kind": "fails"}, failing)
    assert not list(cache.root().glob("*.part"))


def test_shipped_encoder_hears_unseen_voices_and_sentences() -> None:
    rows = [
        u
        for u in coconut_slurp.utterances(coconut_slurp.Config(n_train=1, n_valid=1, n_test=2, seed=77))
        if u.split == "test"
    ]
    features, labels = spoken(rows, key={"kind": "test-phones"}, labels=True)
    assert labels is not None
    assert frame_accuracy(acoustic.load_pretrained(), features, labels) >= 0.85
    assert acoustic.WEIGHTS.stat().st_size <= 2 * 2**20
    assert len(SYMBOLS) == acoustic.PHONES


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(acoustic.WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="damaged"):
        acoustic.load_pretrained(tmp_path / "w.safetensors")


def test_padding_changes_no_row_of_the_encoder() -> None:
    model = acoustic.load_pretrained()
    x = torch.randn(2, 31, 40)
    with torch.no_grad():
        alone, n = model(x[:1, :17], torch.tensor([17]))
        padded = x.clone()
        padded[0, 17:] = 0
        together, m = model(padded, torch.tensor([17, 31]))
    assert int(n[0]) == int(m[0]) == 5
    assert torch.allclose(alone[0], together[0, :5], atol=1e-5)


def test_a_plan_plants_a_bias_in_training_alone() -> None:
    """Voice with intent at a share; valid and test keep all voices."""
    splits = speech.split_voices()
    intents = grammar.intents()[:4]
    own = {intent: [splits["train"][i]] for i, intent in enumerate(intents)}
    counts = {"train": 200, "valid": 5, "test": 100}
    for share in (0.0, 0.9, 1.0):
        rows = grammar.sample(grammar.Plan(counts, intents, splits, seed=3, voices_of=own, share=share))
        for intent in intents:
            train = [u.voice == own[intent][0] for u in rows if u.intent == intent and u.split == "train"]
            assert sum(train) / len(train) == pytest.approx(share, abs=0.07)
        assert {u.voice for u in rows if u.split == "test"} <= set(splits["test"])


def test_a_stream_of_plans_is_a_drift() -> None:
    """Accents over experiences, rate as a target: one plan each."""
    splits = speech.split_voices()
    plans = []
    for accent, rate in (("en-US", (140, 150)), ("en-GB-scotland", (180, 190))):
        voices = {split: [v for v in them if v.accent == accent] for split, them in splits.items()}
        plans.append(
            grammar.Plan({"train": 6, "valid": 0, "test": 2}, grammar.intents()[:3], voices, seed=1, rate=rate)
        )
    rows = grammar.sample_stream(plans)
    assert len({u.id for _, u in rows}) == len(rows) == 48
    for number, u in rows:
        assert u.voice.accent == ("en-US", "en-GB-scotland")[number]
        assert plans[number].rate[0] <= u.rate <= plans[number].rate[1]
    assert [u.words for n, u in rows if n == 0] != [u.words for n, u in rows if n == 1]
    assert rows == grammar.sample_stream(plans)


def test_a_breathy_voice_sounds_the_same_at_another_time_of_day() -> None:
    """Its noise comes from a generator that the library seeds with the seconds of the clock."""
    row = next(
        u
        for u in coconut_slurp.utterances(coconut_slurp.Config(n_train=4, n_valid=1, n_test=1))
        if u.voice.variant == "f5"
    )
    found = []
    for _ in range(2):
        speaker = Speaker()
        try:
            found.append(speaker.speak(row).samples.tobytes())
        finally:
            speaker.close()
        time.sleep(1.1)
    assert found[0] == found[1]
