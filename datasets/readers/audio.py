"""Recordings in any format that soundfile reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from ..core import limits
from ..core.errors import DataError

SAMPLE_RATE = 16_000  # Hz, of what is read
LOWEST_RATE = 2_000  # Hz: below it nothing of speech is left, and a second becomes many samples
KERNEL = 2**22  # numbers of torchaudio's filter, at most; a rate that does not reduce asks for millions
FEATURES = 16  # bytes a sample at 16 kHz that its features take while they are made
BLOCK = 2**16  # frames read at a time: a header may promise what the file does not hold


def fault_of(path: Path, rate: int | None = None) -> str | None:
    """What is wrong with a recording: missing, unreadable, empty, not at ``rate`` Hz, NaN or infinite; else None."""
    if not path.is_file():
        return f"{path}: missing"
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        return f"{path}: unreadable ({str(error).splitlines()[0]})"
    if info.frames == 0:
        return f"{path}: empty"
    if problem := _excess(info):
        return f"{path}: {problem}"
    if rate is not None and info.samplerate != rate:
        return f"{path}: {info.samplerate} Hz, expected {rate}"
    if info.subtype in ("FLOAT", "DOUBLE"):  # no other kind of sample can be anything but a number
        try:
            read_audio(path)
        except DataError as error:
            return str(error)
    return None


def read_audio(path: Path) -> Tensor:
    """Samples [n] float32 at 16 kHz, channels averaged.

    Raises DataError where the file cannot be read or holds NaN or infinities, and before it is read where its header
    promises more than memory may take.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: unreadable (no regular file)")
    try:
        with soundfile.SoundFile(path) as file:
            if problem := _excess(file):
                raise DataError(f"{path}: {problem}")
            rate, parts = file.samplerate, []
            while len(part := file.read(BLOCK, dtype="float32", always_2d=True)):
                parts.append(part)
        samples = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise DataError(f"{path}: unreadable ({str(error).splitlines()[0]})") from error
    bad = np.flatnonzero(~np.isfinite(samples).all(1))
    if len(bad):
        raise DataError(f"{path}: {len(bad)} samples are NaN or infinite, the first at {bad[0] / rate:.3f} s")
    x = torch.from_numpy(samples.mean(1))
    if len(x) == 0:
        raise DataError(f"{path}: empty")
    return x if rate == SAMPLE_RATE else _resampled(x, rate)


def _excess(of: Any) -> str:
    """What is wrong with the rate or the size of a recording that soundfile describes, in words; else empty."""
    if of.samplerate < LOWEST_RATE:
        return f"a rate of {of.samplerate} Hz; speech needs {LOWEST_RATE} Hz or more"
    frames = max(0, of.frames)
    size = frames * 8 * of.channels + math.ceil(frames * SAMPLE_RATE / of.samplerate) * FEATURES
    problem = limits.excess(size)
    return problem and f"{frames} frames take {problem}"


def _resampled(x: Tensor, rate: int) -> Tensor:
    """``x`` [n] at 16 kHz: by torchaudio, and where its filter would be large (44,101 Hz shares no factor with 16,000)
    by scipy's polyphase filter, whose memory grows with the rate alone.
    """
    divisor = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // divisor, rate // divisor
    width = down + 12 * max(1, math.ceil(down / up))
    if up * width <= KERNEL:
        return torchaudio.functional.resample(x, rate, SAMPLE_RATE)
    from scipy.signal import resample_poly

    return torch.from_numpy(resample_poly(x.numpy(), up, down).astype(np.float32))
