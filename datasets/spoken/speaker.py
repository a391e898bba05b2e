"""Generated speech: synthesisers in child processes, equal bytes for one utterance whatever is spoken around it.

eSpeak NG speaks by formants, SVOX Pico (the package py-nanotts, not in every installation) by stored units of speech.
Pico has one voice a language and no phoneme times; a voice variant is a shift of its pitch, an accent the language.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from .grammar import Utterance, Voice

ACCENTS = ("en", "en-US", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-GB-x-rp", "en-029")
VARIANTS = tuple(f"m{i}" for i in range(1, 9)) + tuple(f"f{i}" for i in range(1, 6))

SYNTHESISERS = {"espeak": "espeakng_loader", "pico": "py_nanotts"}  # name -> the module it needs
PICO_VOICES = ("en-GB", "en-US", "de-DE", "es-ES", "fr-FR", "it-IT")
PICO_RATE = (
    154  # words a minute at its speed 1: then 100 sentences of the grammar last as long as eSpeak NG's (within 1 %)
)


class SpeechError(DataError):
    """The speech synthesiser is missing, died, or does not know a voice."""


@dataclass(frozen=True)
class Speech:
    """``samples`` int16 [n] at ``rate`` Hz; ``phonemes`` (start in seconds, symbol), a silence is ``_``."""

    samples: NDArray[np.int16]
    rate: int
    phonemes: tuple[tuple[float, str], ...]


def voices() -> list[Voice]:
    """All accents × voice variants, in a fixed order."""
    return [Voice(accent, variant) for variant in VARIANTS for accent in ACCENTS]


def missing(synthesisers: Collection[str]) -> list[str]:
    """What stands in the way of these synthesisers, a sentence each; empty: nothing."""
    faults = []
    for name in sorted(set(synthesisers)):
        if name not in SYNTHESISERS:
            faults.append(f"no synthesiser '{name}' (there are: {', '.join(SYNTHESISERS)})")
        elif find_spec(SYNTHESISERS[name]) is None:
            faults.append(f"the synthesiser '{name}' needs the package {SYNTHESISERS[name].replace('_', '-')}")
    return faults


def pico_pitch(utterance: Utterance) -> float:
    """Pico's factor on its pitch, 0.5 to 2: of the variant (m1..m8: 0.62 to 0.97, f1..f5: 1.1 to 1.5), times 2^((pitch
    - 50) / 100), so that pitch 0..99 is one octave.
    """
    sex, number = utterance.voice.variant[0], int(utterance.voice.variant[1:])
    base = 0.57 + 0.05 * number if sex == "m" else 1.0 + 0.1 * number
    return min(2.0, max(0.5, base * 2 ** ((utterance.pitch - 50) / 100)))


class Speaker:
    """One speaking process of one synthesiser; :meth:`speak` answers one request at a time."""

    def __init__(self, synthesiser: str = "espeak") -> None:
        for fault in missing([synthesiser]):
            raise SpeechError(f"{fault}: pip install it, or leave this synthesiser out of the plan")
        self.synthesiser = synthesiser
        here = os.path.join(os.path.dirname(__file__), "_speak.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", here, synthesiser],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            (self.rate,) = struct.unpack("<I", self._read(4))
        except SpeechError:
            self.close()
            raise

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] | None = getattr(self._process, name)
        if pipe is None:
            raise SpeechError("the speaking process has no pipes")
        return pipe

    def _read(self, count: int) -> bytes:
        data = self._pipe("stdout").read(count)
        if len(data) < count:
            self._process.kill()
            said = self._pipe("stderr").read().decode(errors="replace").strip().splitlines()
            why, needs = said[-1] if said else "no message", SYNTHESISERS[self.synthesiser]
            raise SpeechError(f"the speech synthesiser died: {why} (is {needs} installed?)")
        return data

    def speak(self, utterance: Utterance) -> Speech:
        """Speak one utterance. Raises SpeechError."""
        request: dict[str, Any] = {
            "words": utterance.words,
            "voice": utterance.voice.name,
            "rate": utterance.rate,
            "pitch": utterance.pitch,
        }
        if self.synthesiser == "pico":
            how = {"rate": utterance.rate / PICO_RATE, "pitch": pico_pitch(utterance)}
            request |= {"voice": utterance.voice.accent, **how}
        head, sound = self._answer(request)
        samples = np.frombuffer(sound, np.int16)
        if "error" in head:
            raise SpeechError(f"'{utterance.words}' by {utterance.voice.name}: {head['error']}")
        return Speech(samples, self.rate, tuple((ms / 1000, symbol or "_") for ms, symbol in head["events"]))

    def phonemes(self, words: Sequence[str], voice: Voice) -> list[tuple[str, ...]]:
        """The phonemes of each word by eSpeak NG, without a sound. Raises SpeechError."""
        if self.synthesiser != "espeak":
            raise SpeechError("phonemes come from eSpeak NG alone")
        head, _ = self._answer({"phonemes": list(words), "voice": voice.name})
        if "error" in head:
            raise SpeechError(f"the phonemes of {len(words)} words by {voice.name}: {head['error']}")
        return [tuple(symbols) for symbols in head["events"]]

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        try:
            self._pipe("stdin").write(json.dumps(request).encode() + b"\n")
            self._pipe("stdin").flush()
        except BrokenPipeError as error:
            raise SpeechError("the speech synthesiser died") from error
        head_size, sample_size = struct.unpack("<II", self._read(8))
        head: dict[str, Any] = json.loads(self._read(head_size))
        return head, self._read(sample_size)

    def close(self) -> None:
        self._process.kill()
        for name in ("stdin", "stdout", "stderr"):
            with suppress(SpeechError, BrokenPipeError):
                self._pipe(name).close()
        self._process.wait()


def speak_all(
    utterances: Sequence[Utterance],
    each: Callable[[int, Speech], None],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Speak all; ``each(position, speech)`` is called in order within a worker. The bytes do not depend on
    ``workers``. Each worker has a process a synthesiser, ended on leaving. Raises SpeechError.
    """
    done, workers = 0, max(1, workers)
    names = sorted({utterance.synthesiser for utterance in utterances}) or ["espeak"]
    with ExitStack() as ends, ThreadPoolExecutor(workers) as pool:
        speakers: list[dict[str, Speaker]] = [{} for _ in range(workers)]
        for mine in speakers:
            for name in names:
                mine[name] = Speaker(name)
                ends.callback(mine[name].close)

        def work(number: int) -> None:
            nonlocal done
            for position in range(number, len(utterances), workers):
                utterance = utterances[position]
                each(position, speakers[number][utterance.synthesiser].speak(utterance))
                done += 1
                if progress is not None and (done % 32 == 0 or done == len(utterances)):
                    progress(done, len(utterances))

        for future in [pool.submit(work, number) for number in range(workers)]:
            future.result()
