"""Speech of the stand-in: eSpeak NG in child processes, equal bytes for one utterance whatever is spoken around it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from .grammar import Utterance, Voice

ACCENTS = ("en", "en-US", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-GB-x-rp", "en-029")
VARIANTS = tuple(f"m{i}" for i in range(1, 9)) + tuple(f"f{i}" for i in range(1, 6))


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


class Speaker:
    """One speaking process; :meth:`speak` answers one request at a time."""

    def __init__(self) -> None:
        here = os.path.join(os.path.dirname(__file__), "_speak.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", here], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
            raise SpeechError(
                f"the speech synthesiser died: {said[-1] if said else 'no message'} (is espeakng-loader installed?)"
            )
        return data

    def speak(self, utterance: Utterance) -> Speech:
        """Speak one utterance. Raises SpeechError."""
        request = {
            "words": utterance.words,
            "voice": utterance.voice.name,
            "rate": utterance.rate,
            "pitch": utterance.pitch,
        }
        try:
            self._pipe("stdin").write(json.dumps(request).encode() + b"\n")
            self._pipe("stdin").flush()
        except BrokenPipeError as error:
            raise SpeechError("the speech synthesiser died") from error
        head_size, sample_size = struct.unpack("<II", self._read(8))
        head: dict[str, Any] = json.loads(self._read(head_size))
        samples = np.frombuffer(self._read(sample_size), np.int16)
        if "error" in head:
            raise SpeechError(f"'{utterance.words}' by {utterance.voice.name}: {head['error']}")
        return Speech(samples, self.rate, tuple((ms / 1000, symbol or "_") for ms, symbol in head["events"]))

    def close(self) -> None:
        self._process.kill()
        for name in ("stdin", "stdout", "stderr"):
            with suppress(SpeechError, BrokenPipeError):
                self._pipe(name).close()
        self._process.wait()


@contextmanager
def speaking(workers: int = 1) -> Iterator[list[Speaker]]:
    """``workers`` speaking processes, ended on leaving."""
    speakers: list[Speaker] = []
    try:
        for _ in range(max(1, workers)):
            speakers.append(Speaker())
        yield speakers
    finally:
        for speaker in speakers:
            speaker.close()


def speak_all(
    utterances: Sequence[Utterance],
    each: Callable[[int, Speech], None],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Speak all; ``each(position, speech)`` is called in order within a worker. The bytes do not depend on
    ``workers``.
    """
    done = 0
    with speaking(workers) as speakers, ThreadPoolExecutor(len(speakers)) as pool:

        def work(number: int) -> None:
            nonlocal done
            for position in range(number, len(utterances), len(speakers)):
                each(position, speakers[number].speak(utterances[position]))
                done += 1
                if progress is not None and (done % 32 == 0 or done == len(utterances)):
                    progress(done, len(utterances))

        for future in [pool.submit(work, number) for number in range(len(speakers))]:
            future.result()
