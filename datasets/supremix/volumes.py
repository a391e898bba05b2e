"""Volumes with a label each: ``labels.csv`` (id, age, split) and ``volumes/<id>.npy`` or ``.nii.gz`` [D, H, W]; or
generated blobs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..core.inputs import VolumeInputs
from ..core.source import RegressionInfo, ShotBins, Source
from ..readers.csv import SPLITS, labelled_files
from ..readers.volumes import read_volume, resample
from .regression import RegressionData, finish


class Config(RegressionData):
    """Size of volumes and of the stand-in."""

    size: int = Field(16, ge=4, le=256, description="side of the cube that a volume is resampled to")
    n_train: int = Field(400, ge=20, le=100_000, description="stand-in: training volumes")
    n_test: int = Field(205, ge=41, le=100_000, description="stand-in: test volumes, as many for validation")


def load(
    config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None
) -> Source[RegressionInfo]:
    """Volumes under ``root``, or the stand-in. Raises DataError where files or values are missing."""
    parts: dict[str, dict[str, Tensor]] = {}
    if root is None:
        for k, split in enumerate(SPLITS):
            count = config.n_train if split == "train" else config.n_test
            parts[split] = blobs(count, config.size, np.random.default_rng([config.seed, 41, k]))
    else:
        for split, rows in labelled_files(root, "volumes", (".npy", ".nii.gz", ".nii"), "age").items():
            volumes = []
            for number, (_, path, _) in enumerate(rows):
                volumes.append(resample(read_volume(path), config.size))
                if progress is not None:
                    progress(number + 1, len(rows))
            x = torch.stack(volumes) if volumes else torch.empty(0, 1, config.size, config.size, config.size)
            parts[split] = {"x": x, "label": torch.tensor([y for _, _, y in rows], dtype=torch.float64)}
    shape = (1, config.size, config.size, config.size)
    shots = ShotBins(many_above=100, few_below=20) if root is not None else ShotBins(many_above=9, few_below=4)
    name = "age" if root is not None else "size"
    inputs = VolumeInputs(size=config.size, standardise=root is not None)
    info = RegressionInfo(modality="volume", input_shape=shape, label_name=name, shots=shots, inputs=inputs)
    return finish(config, parts, info, "stand-in" if root is None else "real")


def blobs(count: int, size: int, g: np.random.Generator) -> dict[str, Tensor]:
    """Soft ellipsoids at random places in noise; the label, 0 to 40, says how large they are."""
    label = np.arange(count) % 41
    radius = (0.2 + 0.5 * label / 40)[:, None, None, None]
    axis = np.linspace(-1, 1, size)
    stretch, centre = g.uniform(0.85, 1.15, (count, 3)), g.uniform(-0.2, 0.2, (count, 3))
    square = np.zeros((count, size, size, size))
    for d in range(3):
        shape = [1, 1, 1, 1]
        shape[d + 1] = size
        distance = (axis[None] - centre[:, d : d + 1]) / stretch[:, d : d + 1]
        square = square + np.square(distance).reshape(count, *shape[1:])
    x = 1 / (1 + np.exp((np.sqrt(square) - radius) / 0.08)) + 0.2 * g.normal(size=square.shape)
    return {"x": torch.from_numpy(x[:, None].astype(np.float32)), "label": torch.from_numpy(label.astype(np.float64))}
