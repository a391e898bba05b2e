"""Recordings in any format that soundfile reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from ..core.errors import DataError

SAMPLE_RATE = 16_000  # Hz, of what is read


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

    Raises DataError where the file cannot be read or holds NaN or infinities.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise DataError(f"{path}: unreadable ({str(error).splitlines()[0]})") from error
    bad = np.flatnonzero(~np.isfinite(samples).all(1))
    if len(bad):
        raise DataError(f"{path}: {len(bad)} samples are NaN or infinite, the first at {bad[0] / rate:.3f} s")
    x = torch.from_numpy(samples.mean(1))
    if len(x) == 0:
        raise DataError(f"{path}: empty")
    return x if rate == SAMPLE_RATE else torchaudio.functional.resample(x, rate, SAMPLE_RATE)
