"""From speech to log-mel frames: 16 kHz, room and noise of the utterance, 40 bands, 10 ms."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import torch
import torchaudio
from torch import Tensor

from ..readers.audio import SAMPLE_RATE
from .grammar import Utterance
from .speaker import Speech

BANDS, HOP, WINDOW = 40, 160, 400


@cache
def _resampler(rate: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)


@cache
def _mel() -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        SAMPLE_RATE, n_fft=512, win_length=WINDOW, hop_length=HOP, n_mels=BANDS, f_min=20.0, center=True, power=2.0
    )


def waveform(speech: Speech, utterance: Utterance | None = None) -> Tensor:
    """Samples [n] float32 at 16 kHz in [-1, 1], with the room and the noise that the utterance's factors say.

    The room is an exponentially decaying noise tail of the reverberation time ``room``, the noise white at ``noise``
    dB; both are drawn from the utterance's id, so that it always sounds the same.
    """
    x = torch.from_numpy(speech.samples.astype(np.float32) / 32768)
    x = _resampler(speech.rate)(x)
    if utterance is None:
        return x
    seed = int.from_bytes(hashlib.sha256(utterance.id.encode()).digest()[:7], "big")
    g = torch.Generator().manual_seed(seed)
    if utterance.room > 0.02:
        n = int(utterance.room * SAMPLE_RATE)
        tail = torch.randn(n, generator=g) * torch.exp(-6.9 * torch.arange(n) / n)
        response = torch.cat([torch.ones(1), 0.3 * tail / tail.norm()])
        x = torchaudio.functional.fftconvolve(x, response)[: len(x)]
    level = x.pow(2).mean().sqrt().clamp(min=1e-4)
    return x + torch.randn(len(x), generator=g) * level * 10 ** (-utterance.noise / 20)


def spectrogram(x: Tensor) -> Tensor:
    """Logarithm of the mel powers [T, 40] of a waveform [n] at 16 kHz, not normalised: bands keep the voice's colour.
    T = n // 160 + 1.
    """
    return _mel()(x).clamp(min=1e-6).log().T


def log_mel(x: Tensor) -> Tensor:
    """:func:`spectrogram` with mean 0 and variance 1 a band over the utterance, [T, 40]."""
    frames = spectrogram(x)
    return (frames - frames.mean(0)) / frames.std(0, correction=0).clamp(min=1e-3)
