"""Child process that speaks: started fresh by speaker.py, never imported by the product's own process.

It loads one synthesiser and speaks every utterance in a child forked from it, for eSpeak NG's second utterance would
differ from its first, and Pico's first two from those that follow (so three are discarded before the first fork).
Protocol on standard input and output: one JSON line asks, a JSON line and raw
bytes answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from typing import Any

SYNCHRONOUS, EVENT_END, EVENT_PHONEME = 2, 0, 7  # speech comes through the callback, in the calling thread


class Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


def initialise() -> tuple[Any, int]:
    """The library and its sample rate; phoneme events on."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 1 | (1 << 15))
    if rate <= 0:
        raise OSError(f"espeak_Initialize returned {rate}")
    return library, rate


def speak(library: Any, request: dict[str, Any]) -> tuple[bytes, list[tuple[int, str]]]:
    """int16 samples and (time in ms, phoneme) events of one utterance."""
    pieces: list[bytes] = []
    events: list[tuple[int, str]] = []
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))

    def collect(samples: Any, count: int, event: Any) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        i = 0
        while event[i].type != EVENT_END:
            if event[i].type == EVENT_PHONEME:
                events.append((event[i].audio_position, event[i].id.decode("utf-8", "replace")))
            i += 1
        return 0

    library.espeak_ng_SetRandSeed(
        ctypes.c_long(1)
    )  # breathy voices draw noise; the library seeds it with the time of day
    callback = callback_type(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise ValueError(f"unknown voice {request['voice']}")
    library.espeak_SetParameter(1, request["rate"], 0)
    library.espeak_SetParameter(3, request["pitch"], 0)
    text = request["words"].encode() + b"\0"
    library.espeak_Synth(text, len(text), 0, 0, 0, 1, None, None)
    library.espeak_Synchronize()
    return b"".join(pieces), events


def phonemes_of(library: Any, request: dict[str, Any]) -> tuple[bytes, list[list[str]]]:
    """What :func:`speak` would say of each of several words, as phonemes, without a sound."""
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise ValueError(f"unknown voice {request['voice']}")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    found = []
    for word in request["phonemes"]:
        text = ctypes.c_char_p(word.encode())
        rest, said = ctypes.cast(text, ctypes.c_void_p), list[str]()
        while rest.value:  # a clause at a time; between phonemes stands a space
            said += (library.espeak_TextToPhonemes(ctypes.byref(rest), 1, ord(" ") << 8) or b"").decode().split()
        found.append(said)
    return b"", found


def initialise_pico() -> tuple[Any, int]:
    """Pico, warmed up, and its sample rate."""
    from py_nanotts import NanoTTS

    library = NanoTTS()
    for _ in range(3):
        library.speak("wake me up at seven", voice="en-GB", speed=1.0, pitch=1.0)
    return library, 16000


def speak_pico(library: Any, request: dict[str, Any]) -> tuple[bytes, list[tuple[int, str]]]:
    """As :func:`speak`; Pico gives no events."""
    if request["voice"] not in ("en-GB", "en-US", "de-DE", "es-ES", "fr-FR", "it-IT"):
        raise ValueError(f"unknown voice {request['voice']}")
    samples = library.speak(request["words"], voice=request["voice"], speed=request["rate"], pitch=request["pitch"])
    return samples, []


def answer(library: Any, line: str, speak: Any = speak) -> bytes:
    """Fork, speak in the child, and return what it wrote."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            request = json.loads(line)
            samples, events = (phonemes_of if "phonemes" in request else speak)(library, request)
            head = json.dumps({"events": events}).encode()
            with os.fdopen(writing, "wb") as out:
                out.write(struct.pack("<II", len(head), len(samples)) + head + samples)
            os._exit(0)
        except BaseException as error:
            head = json.dumps({"error": str(error)}).encode()
            os.write(writing, struct.pack("<II", len(head), 0) + head)
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as incoming:
        data = incoming.read()
    os.waitpid(child, 0)
    if len(data) < 8:
        head = json.dumps({"error": "the speaking child died"}).encode()
        data = struct.pack("<II", len(head), 0) + head
    return data


def main() -> None:
    pico = sys.argv[1:] == ["pico"]
    library, rate = initialise_pico() if pico else initialise()
    out = sys.stdout.buffer
    out.write(struct.pack("<I", rate))
    out.flush()
    for line in sys.stdin:
        out.write(answer(library, line, speak_pico if pico else speak))
        out.flush()


if __name__ == "__main__":
    main()
