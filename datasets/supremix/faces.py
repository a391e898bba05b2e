"""Faces and their ages: csv files of age, path and split beside folders of images, or rotated digits as the stand-in.

The stand-in turns scikit-learn's digits (16 x 16) by 0 to 60 degrees; the angle is the label; validation and test are
balanced over angles and come from other digits than training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ..core import paths
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from ..core.source import RegressionInfo, ShotBins, Source
from ..core.table import Column
from ..readers.csv import SPLITS, read_rows, split_of, target
from ..readers.image_rows import encoded_rows, image_rows
from .regression import RegressionData, finish

ANGLES = 61
Columns = dict[str, Column]


class FacesConfig(RegressionData):
    """Size of images and of the stand-in."""

    size: int = Field(224, ge=8, le=1024, description="side of real images after resizing")
    encoded: bool = Field(
        False,
        description=(
            "real images: keep the files' bytes and decode the rows of a batch (less disk, more work a step; see "
            "train.workers); false: prepare all at their size once"
        ),
    )
    outside_paths: bool = Field(False, description=paths.OUTSIDE)
    n_train: int = Field(1200, ge=61, le=100_000, description="stand-in: training images")
    n_test: int = Field(610, ge=61, le=100_000, description="stand-in: test images, as many for validation")


def stand_in(config: FacesConfig) -> Source[RegressionInfo]:
    """Rotated digits, split by the seed; ``imbalanced``: training angles fall off as exp(-decay · angle / 60)."""
    from sklearn.datasets import load_digits

    digits = np.asarray(load_digits().images, dtype=np.float32) / 16  # [1797, 8, 8]
    order = np.random.default_rng([config.seed, 11]).permutation(len(digits))
    parts = np.split(order, [1000, 1350])
    splits: dict[str, Columns] = {}
    for k, (split, part) in enumerate(zip(SPLITS, parts, strict=True)):
        g = np.random.default_rng([config.seed, 12, k])
        count = config.n_train if split == "train" else config.n_test
        angle = np.arange(count) % ANGLES
        if split == "train" and config.imbalanced:
            p = np.exp(-config.decay * np.arange(ANGLES) / (ANGLES - 1))
            angle = g.choice(ANGLES, count, p=p / p.sum())
        chosen = torch.from_numpy(digits[part[g.integers(0, len(part), count)]])[:, None]
        splits[split] = {"x": rotate(chosen, torch.from_numpy(angle).float()), "label": torch.from_numpy(angle)}
    shots = ShotBins(many_above=29, few_below=10)
    inputs = ImageInputs(column="x", size=16, channels=1, fit="stretch")
    info = RegressionInfo(modality="image", input_shape=(1, 16, 16), label_name="angle", shots=shots, inputs=inputs)
    plain = config.model_copy(update={"imbalanced": False})  # the skew is in the angles already, at the full size
    return replace(finish(plain, splits, info, "stand-in"), random_split=True)


def rotate(images: Tensor, degrees: Tensor, side: int = 16) -> Tensor:
    """Images [N, C, h, w] enlarged to ``side`` and turned counter-clockwise, [N, C, side, side] uint8 of 0 to 255."""
    r = torch.deg2rad(degrees)
    zero = torch.zeros_like(r)
    matrix = torch.stack([r.cos(), -r.sin(), zero, r.sin(), r.cos(), zero], 1).view(-1, 2, 3) * 1.2
    grid = F.affine_grid(matrix, [len(images), images.shape[1], side, side], align_corners=False)
    turned = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (turned * 255).round().clamp(0, 255).to(torch.uint8)


def released(
    config: FacesConfig, root: Path, name: str, progress: Callable[[int, int], None] | None
) -> Source[RegressionInfo]:
    """Images named by ``name`` (columns age, path, split) under ``root`` or ``root/data``; resized once, then read from
    the cache.
    """
    base = root / "data" if (root / "data" / name).is_file() else root
    if not base.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder that holds {name}")
    faults: list[str] = []
    rows: dict[str, list[tuple[Path, float]]] = {split: [] for split in SPLITS}
    for where, row in read_rows(base / name, ("age", "path", "split")):
        age, split = target(row["age"], where, "age", faults), split_of(row["split"], where, faults)
        try:
            file = paths.within(base, row["path"], config.outside_paths)
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if not file.is_file():
            faults.append(f"{where}: no image {row['path']}")
        rows[split].append((file, age))
    refuse(str(base / name), faults)
    splits: dict[str, Columns] = {}
    inputs = ImageInputs(column="x", size=config.size, fit="stretch")
    for split in SPLITS:
        rows_of = encoded_rows if config.encoded else image_rows
        images = rows_of([path for path, _ in rows[split]], inputs, progress)
        splits[split] = {"x": images, "label": torch.tensor([age for _, age in rows[split]], dtype=torch.float64)}
    shape, shots = (3, config.size, config.size), ShotBins(many_above=100, few_below=20)
    info = RegressionInfo(modality="image", input_shape=shape, label_name="age", flip=True, shots=shots, inputs=inputs)
    return finish(config, splits, info, "real")
