"""How fast, or how high, is this spoken? Windows of spectrograms with the rate or the pitch as a number."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ..core.source import RegressionInfo, ShotBins, Source
from ..core.table import Ragged, Table
from . import rows
from .rows import Progress, WorldConfig

check = rows.check
BINS = 50  # of the label's training range, for many, medium and few training rows


class Config(WorldConfig):
    """The plan of supremix_world, the target and the window."""

    plan: str | dict[str, object] = Field("supremix", description="as of the other data sets of the spoken world")
    target: Literal["rate", "pitch"] = Field(
        "rate", description="the label: words a minute, or pitch 0 to 99 of the synthesiser"
    )
    frames: int = Field(
        128, ge=16, le=2000, description="of 10 ms: window from the middle of a row, shorter rows padded"
    )
    bands: int = Field(20, ge=2, le=40, description="of the mel scale, means of neighbours of the 40")


def windows(frames: Ragged, length: int, bands: int) -> Tensor:
    """The middle ``length`` frames of each spectrogram [T, 40] as [N, bands, length] float32: mean 0 and variance 1
    over the utterance, frames that a short one lacks are its minimum.
    """
    made = torch.empty(len(frames), bands, length)
    for k in range(len(frames)):
        x = frames.values[frames.offsets[k] : frames.offsets[k + 1]].float()
        x = (x - x.mean()) / x.std(correction=0).clamp(min=1e-3)
        start = max(0, (len(x) - length) // 2)
        x = F.adaptive_avg_pool1d(x[start : start + length], bands).T  # [bands, T]
        made[k] = F.pad(x, (0, length - x.shape[1]), value=float(x.min()))
    return made


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[RegressionInfo]:
    """Columns ``x`` [N, bands, frames] and ``label``. Raises DataError as :func:`.rows.world`."""
    made = rows.world(config, root, "regression")
    sound = rows.spoken(made, "spectrogram", config.workers, progress)
    splits = {
        split: Table(
            {
                "x": windows(sound[split], config.frames, config.bands),
                "label": rows.values(made.of(split), config.target).float(),
            }
        )
        for split in made.splits
    }
    low, high = made.plan.factors[config.target]["train"]
    width = max((high - low) / BINS, 1.0)  # the labels are whole numbers
    info = RegressionInfo(
        modality="series",
        input_shape=(config.bands, config.frames),
        label_name="words a minute" if config.target == "rate" else "pitch",
        shots=ShotBins(origin=low, width=width, many_above=20, few_below=6),
    )
    return Source(splits, (), info, "stand-in", made.checksum)
