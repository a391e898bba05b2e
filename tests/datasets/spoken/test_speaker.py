"""Voices."""

from __future__ import annotations

import hashlib
import time

import pytest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.spoken import grammar
from holdfast.datasets.spoken.grammar import Utterance
from holdfast.datasets.spoken.speaker import Speaker, SpeechError, speak_all

SMALL = coconut_slurp.Config(n_train=1, n_valid=1, n_test=1, seed=5)


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
