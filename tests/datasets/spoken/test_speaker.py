"""Voices."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import pytest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.spoken import corpus, grammar
from holdfast.datasets.spoken.grammar import Utterance
from holdfast.datasets.spoken.speaker import VARIANTS, Speaker, SpeechError, pico_pitch, speak_all

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


def test_pico_speaks_the_same_alone_first_last_and_beside_espeak() -> None:
    pytest.importorskip("py_nanotts")
    said = coconut_slurp.utterances(SMALL)[:4]
    rows = [replace(u, synthesiser="pico", voice=grammar.Voice("en-GB", v)) for u in said for v in ("m1", "f5")]
    together = digests(rows, 1)
    assert len(set(together)) == len(rows)  # a variant shifts the pitch
    assert digests(rows[::-1], 2) == together[::-1]
    mixed = digests([said[0], rows[3], said[1]], 1)
    assert mixed[1] == together[3]
    assert mixed[::2] == digests(said[:2], 1)
    with pytest.raises(SpeechError, match="unknown voice en-029"):
        digests([replace(rows[0], voice=grammar.Voice("en-029", "m1"))], 1)


def test_pitch_of_pico_keeps_its_bounds() -> None:
    row = replace(coconut_slurp.utterances(SMALL)[0], synthesiser="pico")
    factors = [
        pico_pitch(replace(row, voice=grammar.Voice("en-GB", v), pitch=p)) for v in VARIANTS for p in (0, 50, 99)
    ]
    assert 0.5 <= min(factors) < max(factors) <= 2
    assert pico_pitch(replace(row, voice=grammar.Voice("en-GB", "m8"), pitch=50)) == pytest.approx(0.97)


def test_a_synthesiser_that_is_not_there_is_named() -> None:
    row = replace(coconut_slurp.utterances(SMALL)[0], synthesiser="siri")
    with pytest.raises(SpeechError, match="no synthesiser 'siri'"):
        digests([row], 1)


def test_only_espeak_gives_phoneme_labels() -> None:
    row = replace(coconut_slurp.utterances(SMALL)[0], synthesiser="pico")
    with pytest.raises(SpeechError, match="phoneme labels come from eSpeak NG alone"):
        corpus.spoken([row], key={"kind": "test"}, labels=True)
