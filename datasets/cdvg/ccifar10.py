"""Corrupted CIFAR-10 (LfF): class c wears corruption c of one of two types
(:mod:`..transforms.corruptions`).

Under the data root lies CIFAR-10 in either released layout (:mod:`.cifar`), or the images corrupted already, in
DisEnt's or LfF's archive (:mod:`.skewed`). Without a data root scikit-learn's digits, enlarged, light orange on dark
blue, are corrupted instead (the stand-in).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ..core.images import cut, image_source
from ..core.seeds import derive
from ..core.source import ImageInfo, Source
from ..readers import cifar
from ..readers.digits import enlarged
from ..readers.images import Array
from ..transforms.corruptions import TYPES, corrupt
from . import skewed
from .biases import assign
from .digits import Digits, grey_digits
from .image_sets import counts, table

ARCHIVED = skewed.Archived(
    "cifar10c", "CorruptedCIFAR10-Type", 32, cifar.CLASSES, "CIFAR-10's batches (cifar-10-batches-py or -bin)"
)
INK, GROUND = (
    (255, 190, 110),
    (25, 45, 80),
)  # colours of the stand-in, so that saturation and contrast have something to change


class Config(skewed.Options):
    """How strong the bias is, which corruptions carry it, and how many rows there are."""

    rho: float = Field(
        1.0, ge=0, le=1, description="ρ: share of training images with their class's corruption; 1: no exception"
    )
    type: Literal[0, 1] = Field(0, description="0: weather, colour and compression; 1: noise and blur")
    severity: int = Field(4, ge=1, le=4, description="1 to 4 by LfF's count, one less than CIFAR-10-C's")
    n_train: int | None = Field(
        None, ge=20, description="training images; null: all but the validation's (stand-in: 1300)"
    )
    n_valid: int | None = Field(
        None,
        ge=1,
        description="validation images of the training distribution; null: 5000 (stand-in: 100; DisEnt: all)",
    )
    n_test: int | None = Field(None, ge=1, description="test images, corruption independent of class; null: all")
    size: Literal[8, 16, 32] = Field(16, description="stand-in: side in pixels")
    seed: int = Field(0, ge=0, description="noise of the corruptions; stand-in: order of the digits")


def digits(config: Config) -> dict[str, tuple[Array, ...]]:
    """The stand-in before any corruption: images [N, S, S, 3] uint8 and labels [N] of train, valid and test."""
    plain = Digits(n_train=config.n_train, n_valid=config.n_valid, n_test=config.n_test, seed=config.seed)
    parts: dict[str, tuple[Array, ...]] = {}
    for split, (grey, labels) in grey_digits(plain, None).items():
        share = enlarged(grey, config.size).astype(np.float32)[..., None] / 255
        ink, ground = np.array(INK), np.array(GROUND)
        parts[split] = (np.round(ground + share * (ink - ground)).astype(np.uint8), labels)
    return parts


def _corrupted(
    images: Array, labels: Array, rho: float, config: Config, purpose: str, tick: Callable[[int], None]
) -> tuple[Array, Array]:
    """Corrupted images and the number of each one's corruption."""
    bias = assign(labels, rho, 10)
    seed, out = derive(config.seed, f"corruption/{purpose}"), images.copy()
    for b, name in enumerate(TYPES[config.type]):
        rows = np.flatnonzero(bias == b)
        for start in range(0, len(rows), 1000):
            part = rows[start : start + 1000]
            out[part] = corrupt(
                images[part], name, config.severity + 1, [np.random.default_rng((seed, row)) for row in part]
            )
            tick(len(part))
    return out, bias


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image``, ``label``, ``bias``. ``test`` and ``unbiased`` (the training images again, for the classifier
    of the translation report; not in an archive) have corruptions that do not depend on the class; ``valid`` has the
    training distribution. Raises DataError.
    """
    if root is not None:
        folder = cifar.find(root)
        archive = skewed.read(
            config,
            root,
            dataclasses.replace(ARCHIVED, lff=f"{ARCHIVED.lff}{config.type}"),
            folder is not None,
            severity=config.severity,
            seed=config.seed,
            progress=progress,
            counts={"train": config.n_train, "valid": config.n_valid, "test": config.n_test},
            biases=TYPES[config.type],
        )
        if archive is not None:
            return archive
        assert folder is not None, "read answers None only where the clean images are there"
        parts = cut(cifar.read(folder), config.n_train, config.n_valid or 5000, config.n_test)
        names: tuple[str, ...] = cifar.CLASSES
    else:
        parts, names = digits(config), tuple(str(c) for c in range(10))
    parts["unbiased"] = parts["train"]
    total, done = sum(len(labels) for _, labels in parts.values()), 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    splits = {}
    for split, (images, labels) in parts.items():
        rho = config.rho if split in ("train", "valid") else 0.1
        corrupted, bias = _corrupted(images, labels, rho, config, split, tick)
        splits[split] = table(corrupted, labels, bias)
    return image_source(splits, names, "stand-in" if root is None else "real", biases=TYPES[config.type])


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Counts and the share of aligned images."""
    return counts(load(config, root))
