"""Spoken tables: utterances of a plan as log-mel rows, and frames with phoneme labels; both through the cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..core import cache
from ..core.table import Ragged
from ..readers.audio import SAMPLE_RATE
from .features import HOP, log_mel, spectrogram, waveform
from .grammar import Utterance
from .speaker import Speech, SpeechError, speak_all

VERSION = 2  # of the sound: raise it where the same utterance would sound or look different

# What eSpeak NG writes, without stress, length and variants
SYMBOLS = (
    "_",
    *["b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"],
    *["D", "T", "S", "Z", "N", "tS", "dZ"],
    *[
        "a",
        "aa",
        "aI",
        "aU",
        "A@",
        "A:",
        "E",
        "e",
        "e@",
        "eI",
        "i",
        "i:",
        "i@",
        "I",
        "3",
        "3:",
        "0",
        "o",
        "O:",
        "O@",
        "OI",
        "oU",
        "u:",
        "U",
        "U@",
        "V",
        "@",
        "@L",
    ],
)
SYMBOL_IDS = {symbol: i for i, symbol in enumerate(SYMBOLS)}


def symbol(written: str) -> str:
    """The class of what eSpeak NG writes: stress, variants and unknown symbols are folded into those of
    :data:`SYMBOLS`.
    """
    text = re.sub(r"[',%=|#\[\]\-!?^~]", "", written)
    for candidate in (text, re.sub(r"(?<=.)\d+$", "", text), text[:2], text[:1]):
        if candidate in SYMBOL_IDS:
            return candidate
    return "_"


def frame_labels(speech: Speech, n_frames: int) -> Tensor:
    """Phoneme id of every 10 ms frame, [T] int64."""
    labels = torch.zeros(n_frames, dtype=torch.int64)
    starts = [min(n_frames, round(t * SAMPLE_RATE / HOP)) for t, _ in speech.phonemes] + [n_frames]
    for (_, written), start, stop in zip(speech.phonemes, starts, starts[1:], strict=False):
        labels[start:stop] = SYMBOL_IDS[symbol(written)]
    return labels


def spoken(
    utterances: Sequence[Utterance],
    *,
    key: Mapping[str, Any],
    labels: bool = False,
    features: Literal["log_mel", "spectrogram", "waveform"] = "log_mel",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Ragged, Ragged | None]:
    """Log-mel frames of each utterance ([N] rows of [T, 40], float16; of ``spectrogram`` not normalised) or its
    samples ([n], int16, 16 kHz); with
    ``labels`` the phoneme id of each log-mel frame.

    ``key`` names the content for the cache (plan and seed). Raises SpeechError, also where ``labels`` are asked of a
    synthesiser that gives no phoneme times.
    """
    if labels and {utterance.synthesiser for utterance in utterances} - {"espeak"}:
        raise SpeechError("phoneme labels come from eSpeak NG alone: leave other synthesisers out")

    def build(folder: Path) -> None:
        frames: list[Tensor] = [torch.empty(0)] * len(utterances)
        phones: list[Tensor] = [torch.empty(0)] * len(utterances)

        def each(position: int, speech: Speech) -> None:
            sound = waveform(speech, utterances[position])
            if features == "waveform":
                frames[position] = (sound.clamp(-1, 1) * 32767).round().to(torch.int16)
                return
            x = log_mel(sound) if features == "log_mel" else spectrogram(sound)
            frames[position] = x.half()
            if labels:
                phones[position] = frame_labels(speech, len(x)).to(torch.uint8)

        speak_all(utterances, each, workers, progress)
        joined = Ragged.from_list(frames)
        tensors = {"values": joined.values, "offsets": joined.offsets}
        if labels:
            tensors["labels"] = torch.cat(phones)
        save_file(tensors, folder / "frames.safetensors")

    folder = cache.get_or_build(
        {**key, "features": features, "labels": labels, "version": VERSION, "n": len(utterances)}, build
    )
    tensors = load_file(folder / "frames.safetensors")
    frames = Ragged(tensors["values"], tensors["offsets"])
    return frames, Ragged(tensors["labels"], tensors["offsets"]) if labels else None
