"""Augmentation of speech by SpeechBrain's modules, drawn from the run's own generator, row by row.

SpeechBrain draws from torch's and Python's global generators and changes the rows of a batch together, padding
included. Here a row is changed by itself, over its valid part alone: its batch has no part in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...datasets.core.libraries import speechbrain

FRAME = 160  # samples
SHORT = 8  # rows of fewer frames stay as they are


class SpecAugment(BaseModel):
    """SpecAugment (arXiv 1904.08779). On frames: SpeechBrain's SpectrogramDrop and Warping, bands being what the frames
    hold; on waveforms its counterparts DropChunk and DropFreq (no warping).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_masks: int = Field(2, ge=0, le=20, description="stretches set to zero, at most")
    time_length: int = Field(10, ge=1, le=200, description="longest stretch, frames; at most a quarter of the row")
    bands: int = Field(2, ge=0, le=20, description="groups of neighbouring bands set to zero, at most")
    band_width: int = Field(6, ge=1, le=200, description="most bands of a group (of waveforms: of 40)")
    warp: int = Field(0, ge=0, le=100, description="frames by which a point in time may move; 0: none is moved")


class Noise(BaseModel):
    """Noise on waveforms by SpeechBrain's AddNoise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    db: tuple[float, float] = Field((10.0, 30.0), description="signal-to-noise ratio, drawn from this range, dB")
    colour: Literal["white", "pink"] = Field("white", description="flat spectrum, or falling as 1/f")

    @field_validator("db")
    @classmethod
    def _order(cls, db: tuple[float, float]) -> tuple[float, float]:
        if not -60 <= db[0] <= db[1] <= 120:
            raise ValueError(f"db must be [lowest, highest], from -60 to 120: {list(db)}")
        return db


@contextmanager
def seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Inside, torch's and Python's global generators are seeded by a draw from ``generator``; afterwards they are as
    they were.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    state = random.getstate()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def by_row(x: Tensor, lengths: Tensor, change: Callable[[Tensor], Tensor], least: int) -> tuple[Tensor, Tensor]:
    """Rows of x [B, T, ...] without their padding, [1, t, ...], through ``change``, which may change t; rows shorter
    than ``least`` as they are. Returns the rows padded with zeros, and their lengths.
    """
    rows = [row[:n] for row, n in zip(x, lengths.tolist(), strict=True)]
    rows = [change(row[None].clone())[0] if len(row) >= least else row for row in rows]
    return pad_sequence(rows, batch_first=True), lengths.new_tensor([len(row) for row in rows])


def spec_augment(x: Tensor, lengths: Tensor, config: SpecAugment, generator: torch.Generator) -> Tensor:
    """Frames x [B, T, F] or waveforms [B, U] with stretches of time and bands set to zero; same shape."""
    waveform = x.dim() == 2
    change = _on_waveform(config) if waveform else _on_frames(config)
    with seeded(generator, x.device):
        changed, _ = by_row(x, lengths, change, SHORT * (FRAME if waveform else 1))
    return torch.nn.functional.pad(changed, [0, 0] * (x.dim() - 2) + [0, x.shape[1] - changed.shape[1]])


def _on_frames(config: SpecAugment) -> Callable[[Tensor], Tensor]:
    library = speechbrain("augment.freq_domain")

    def change(row: Tensor) -> Tensor:
        if config.warp and row.shape[1] > 2 * config.warp:
            row = library.Warping(warp_window=config.warp)(row)
        masks = ((1, config.time_masks, config.time_length), (2, config.bands, config.band_width))
        for dim, count, longest in masks:
            longest = min(longest, row.shape[dim] // 4)
            if count and longest:
                row = library.SpectrogramDrop(0, longest + 1, 0, count, dim=dim)(row)
        return row

    return change


def _on_waveform(config: SpecAugment) -> Callable[[Tensor], Tensor]:
    library = speechbrain("augment.time_domain")
    bands = library.DropFreq(drop_freq_count_low=0, drop_freq_count_high=config.bands, drop_freq_width=_width(config))

    def change(row: Tensor) -> Tensor:
        longest = min(config.time_length * FRAME, row.shape[1] // 4)
        if config.time_masks and longest:
            row = library.DropChunk(0, longest, 0, config.time_masks)(row, row.new_ones(1))
        return bands(row) if config.bands else row

    return change


def _width(config: SpecAugment) -> float:
    """Of a notch, as a share of half the sampling rate."""
    return min(0.5, config.band_width / 40)


def speed_perturb(
    x: Tensor, lengths: Tensor, percents: tuple[int, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Waveforms [B, U] at a speed drawn for each row from ``percents`` (100: as it was), and their new lengths."""
    change = speechbrain("augment.time_domain").SpeedPerturb(16_000, list(percents), device=x.device)
    for resampler in change.resamplers:
        resampler.to(x.device)
    with seeded(generator, x.device):
        return by_row(x, lengths, change, SHORT * FRAME)


def add_noise(x: Tensor, lengths: Tensor, config: Noise, generator: torch.Generator) -> Tensor:
    """Waveforms [B, U] mixed with noise of their own at a ratio drawn for each row; padding stays zero.

    As SpeechBrain mixes, the sum keeps about the signal's amplitude: the signal is turned down where noise is loud.
    """
    library = speechbrain("augment.time_domain")
    draw = torch.randn_like if config.colour == "white" else library.pink_noise_like
    mix = library.AddNoise(snr_low=config.db[0], snr_high=config.db[1], noise_funct=draw)
    with seeded(generator, x.device):
        changed, _ = by_row(x, lengths, lambda row: mix(row, row.new_ones(1)), SHORT * FRAME)
    return torch.nn.functional.pad(changed, [0, x.shape[1] - changed.shape[1]])
