"""Time series: windows of a CSV series (the value of a column some steps ahead), recordings with a label each, or
generated signals.

A CSV: ``--data-root`` names it or its folder; numeric columns are channels, the first may be a date; splits follow
time (70 / 10 / 20 %). Recordings: ``labels.csv`` (id, age, split) and ``eeg/<id>.npy`` [channels, samples], the
layout of EEG age regression.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ..core.errors import DataError, refuse
from ..core.inputs import SeriesInputs
from ..core.source import RegressionInfo, ShotBins, Source
from ..readers.arrays import load_array
from ..readers.csv import SPLITS, labelled_files, number
from ..readers.tables import column_of, read_table, table_file
from .regression import RegressionData, equal_bins, finish


class Config(RegressionData):
    """Windows, recordings and size of the stand-in."""

    file: str | None = Field(None, description="CSV under the data root; null: its only one")
    target: str = Field("last", description="column whose value is predicted; last")
    window: int = Field(96, ge=4, le=100_000, description="steps of a window")
    horizon: int = Field(24, ge=1, le=100_000, description="steps from the window's end to the value that is predicted")
    relative: bool = Field(
        False,
        description=(
            "CSV series: the label is the change from the window's last value of the target, channels "
            "are changes from theirs (for series whose level drifts; errors keep their unit)"
        ),
    )
    stride: int = Field(4, ge=1, le=100_000, description="steps between the starts of training windows")
    samples: int = Field(2000, ge=8, le=10_000_000, description="recordings: samples from the middle of each")
    n_train: int = Field(800, ge=20, le=100_000, description="stand-in: training signals")
    n_test: int = Field(300, ge=10, le=100_000, description="stand-in: test signals, as many for validation")


Parts = dict[str, dict[str, Tensor]]


def load(
    config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None
) -> Source[RegressionInfo]:
    """A series or recordings under ``root``, or the stand-in. Raises DataError where files or values are missing."""
    if config.relative and (root is None or (root / "labels.csv").is_file()):
        raise DataError(
            "data.options.relative is for a CSV series: signals with a label each have no last value of the target"
        )
    if root is None:
        return _finish(config, stand_in(config), "stand-in", "frequency")
    if (root / "labels.csv").is_file():
        return _finish(config, recordings(config, root), "real", "age")
    parts, name, channels = windows(config, root)
    return _finish(config, parts, "real", name, channels)


def _finish(
    config: Config, parts: Parts, source: str, name: str, channels: tuple[str, ...] = ()
) -> Source[RegressionInfo]:
    """Channels standardised by the training rows; labels in bins. ``channels``: names, of a CSV series."""
    x = parts["train"]["x"]
    if not len(x):
        raise DataError("there is no row in the split 'train'")
    mean, std = x.mean((0, 2), keepdim=True), x.std((0, 2), keepdim=True, unbiased=False)
    std = torch.where(std < 1e-12, 1.0, std)
    columns = {split: {**part, "x": ((part["x"] - mean) / std).float()} for split, part in parts.items()}
    label = parts["train"]["label"]
    shots = ShotBins(many_above=100, few_below=20) if name == "age" else equal_bins(label)
    inputs = SeriesInputs(
        length=x.shape[2],
        mean=tuple(mean.flatten().tolist()),
        std=tuple(std.flatten().tolist()),
        channels=channels,
        relative=config.relative,
        stride=config.stride,
        dtype="float32" if x.dtype == torch.float32 else "float64",
    )
    info = RegressionInfo(
        modality="series", input_shape=tuple(x.shape[1:]), label_name=name, shots=shots, inputs=inputs
    )
    return finish(config, columns, info, source)


def stand_in(config: Config, length: int = 96) -> Parts:
    """Two noisy channels of one oscillation at random phase and height; its frequency, 2 to 12 cycles a window, is the
    label.
    """
    parts: Parts = {}
    time = np.linspace(0, 1, length)
    for k, split in enumerate(SPLITS):
        g = np.random.default_rng([config.seed, 31, k])
        count = config.n_train if split == "train" else config.n_test
        y = g.uniform(2, 12, count)
        phase, height = g.uniform(0, 2 * np.pi, (count, 2, 1)), g.uniform(0.5, 1.5, (count, 2, 1))
        x = height * np.sin(2 * np.pi * y[:, None, None] * time + phase) + 0.3 * g.normal(size=(count, 2, length))
        parts[split] = {"x": torch.from_numpy(x), "label": torch.from_numpy(y.round(1))}
    return parts


def windows(config: Config, root: Path) -> tuple[Parts, str, tuple[str, ...]]:
    """Windows [n, C, window] of a CSV series and the target ``horizon`` steps after each; a window's target lies in its
    own split. The target's name and those of the channels.
    """
    path = table_file(root, config.file)
    names, rows = read_table(path)
    first = [number(row[0]) for _, row in rows]
    start = 1 if all(v is None for v in first) else 0
    at = column_of(names, config.target, "data.options.target") - start
    faults: list[str] = []
    values = np.zeros((len(rows), len(names) - start))
    for i, (where, row) in enumerate(rows):
        for k, text in enumerate(row[start:]):
            value = number(text)
            if value is None or not np.isfinite(value):
                faults.append(f"{where}: '{text[:40]}' in column '{names[start + k]}' is no finite number")
            else:
                values[i, k] = value
    refuse(str(path), faults)
    if at < 0 or not values.shape[1]:
        raise DataError(f"{path}: the target must be a numeric column")
    n = len(values)
    ends = {"train": (0, int(0.7 * n)), "valid": (int(0.7 * n), int(0.8 * n)), "test": (int(0.8 * n), n)}
    reach = config.window + config.horizon - 1
    parts: Parts = {}
    for split, (low, high) in ends.items():
        targets = np.arange(max(low, reach), high, config.stride)
        if len(targets) < 2:
            raise DataError(
                f"{path}: {n} rows are too few for windows of {config.window} steps and a horizon of {config.horizon}"
            )
        x, label = _cut(values, targets - reach, config.window), torch.from_numpy(values[targets, at])
        if config.relative:
            label = label - x[:, at, -1]
            x = x - x[:, :, -1:]
        parts[split] = {"x": x, "label": label}
    name = names[start + at]
    return parts, f"change of {name}" if config.relative else name, tuple(names[start:])


def _cut(values: NDArray[np.float64], starts: NDArray[np.int64], window: int) -> Tensor:
    """[n, C, window] of a series [T, C]."""
    return torch.from_numpy(np.stack([values[s : s + window].T for s in starts.tolist()]))


def recordings(config: Config, root: Path) -> Parts:
    """The middle ``samples`` of each recording. Raises DataError where one is too short or has other channels."""
    parts: Parts = {}
    channels: int | None = None
    faults: list[str] = []
    for split, rows in labelled_files(root, "eeg", (".npy",), "age").items():
        series = []
        for where, path, _ in rows:
            x = load_array(path)
            channels = x.shape[0] if channels is None and x.ndim == 2 else channels
            if x.ndim != 2 or x.shape[0] != channels or x.shape[1] < config.samples:
                faults.append(f"{where}: {path.name} is {list(x.shape)}, not [{channels}, {config.samples} or more]")
                continue
            begin = (x.shape[1] - config.samples) // 2
            series.append(torch.from_numpy(x[:, begin : begin + config.samples].astype(np.float32)))
        refuse(str(root), faults)
        x_all = torch.stack(series) if series else torch.empty(0, channels or 1, config.samples)
        parts[split] = {"x": x_all, "label": torch.tensor([y for _, _, y in rows], dtype=torch.float64)}
    return parts
