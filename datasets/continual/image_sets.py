"""What the plain image sets share: options, the Source, and what ``suites data check`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.images import cut, image_source, image_table
from ..core.seeds import derive
from ..core.source import ImageInfo, Source
from ..readers.images import Array

Parts = Mapping[str, tuple[Array, Array]]  # images [N, S, S] or [N, S, S, 3] uint8 and labels [N], of train and test
DIGITS = tuple(str(c) for c in range(10))


class ImageSet(BaseModel):
    """How many rows there are, and which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_train: int | None = Field(
        None, ge=20, description="training images; null: all but the validation's (scikit-learn's digits: 1300)"
    )
    n_valid: int | None = Field(
        None, ge=1, description="validation images, of the training part; null: 5000 (scikit-learn's digits: 100)"
    )
    n_test: int | None = Field(None, ge=1, description="test images; null: all (scikit-learn's digits: 397)")
    seed: int = Field(
        0, ge=0, description="which images are kept for validation (scikit-learn's digits: which are test, too)"
    )


def mixed(parts: Parts, seed: int) -> dict[str, tuple[Array, Array]]:
    """The rows of each part in an order drawn from (``seed``, part): files may hold one class after the other."""
    rows = {
        split: np.random.default_rng(derive(seed, f"rows/{split}")).permutation(len(labels))
        for split, (_, labels) in parts.items()
    }
    return {split: (images[rows[split]], labels[rows[split]]) for split, (images, labels) in parts.items()}


def made(config: ImageSet, parts: Parts, class_names: Sequence[str], source: str, digits: bool) -> Source[ImageInfo]:
    """Columns ``image`` [N, 3, S, S] (grey images get three equal channels) and ``label`` of train, valid and test.

    ``digits``: the parts are splits of scikit-learn's digits by the seed. Raises DataError where there are too few
    rows.
    """
    splits = {}
    chosen = cut(parts, config.n_train, config.n_valid or (100 if digits else 5000), config.n_test)
    for split, (images, labels) in chosen.items():
        colour = images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=3)
        splits[split] = image_table(colour, labels)
    return image_source(splits, class_names, source, random_split=digits)


def counts(source: Source[ImageInfo]) -> dict[str, Any]:
    """What ``suites data check`` says: source, side in pixels, and rows of every split, in all and by class."""
    document: dict[str, Any] = {"source": source.source, "size": source.info.size}
    for split, part in source.splits.items():
        labels = part.columns["label"]
        assert isinstance(labels, torch.Tensor)
        each = torch.bincount(labels, minlength=len(source.class_names)).tolist()
        document[split] = {"rows": len(part), "by_class": dict(zip(source.class_names, each, strict=True))}
    return document
