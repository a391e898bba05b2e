"""Permuted MNIST: the same digits in every experience, under another permutation of the pixels.

MNIST's idx files under the data root (:mod:`..readers.mnist`); without one scikit-learn's digits, enlarged to 16 px,
take their place (the stand-in). The column ``experience`` says which permutation a row has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from ..core.images import image_source
from ..core.seeds import generator
from ..core.source import ImageInfo, Source
from ..core.table import Table
from . import image_sets, mnist


class Config(mnist.Config):
    """The same, and how many permutations there are. Counts of images are those of each experience."""

    experiences: int = Field(5, ge=1, le=100, description="permutations, each an experience; as data.experiences")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ImageInfo]:
    """Columns ``image``, ``label`` and ``experience``. Raises DataError where files are missing or damaged."""
    plain = mnist.load(mnist.Config(**config.model_dump(exclude={"experiences"})), root, progress)
    splits = {name: _permuted(table, config) for name, table in plain.splits.items()}
    return image_source(splits, plain.class_names, plain.source, random_split=plain.random_split)


def _permuted(table: Table, config: Config) -> Table:
    """The rows of ``table`` once an experience; the permutation is drawn from (seed, experience), for all channels."""
    images, labels = table.columns["image"], table.columns["label"]
    assert isinstance(images, torch.Tensor)
    assert isinstance(labels, torch.Tensor)
    flat, size = images.flatten(2), images[0, 0].numel()
    parts = []
    for number in range(config.experiences):
        order = torch.randperm(size, generator=generator(config.seed, f"pixels/{number}"))
        parts.append(flat[:, :, order].view_as(images))
    numbers = torch.arange(config.experiences).repeat_interleave(len(labels))
    return Table(
        {"image": torch.cat(parts), "label": labels.repeat(config.experiences), "experience": numbers},
    )


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows by class."""
    return image_sets.counts(load(config, root))
