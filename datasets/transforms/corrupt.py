"""Images with one of the corruptions of CIFAR-10-C: how a model holds under noise, blur, weather or compression."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..core.errors import DataError
from ..core.seeds import derive
from ..core.source import DataInfo, ImageInfo, require
from ..core.table import Table
from ..core.transforms import Rows
from .corruptions import LEVELS, corrupt


class Config(BaseModel):
    """Which corruption, and how strong it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description=f"one of {', '.join(LEVELS)}")
    severity: int = Field(3, ge=1, le=5, description="1 to 5, as CIFAR-10-C counts")

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in LEVELS:
            raise ValueError(f"unknown corruption (there are: {', '.join(LEVELS)})")
        return value


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """The column ``image`` [N, 3, S, S] uint8 corrupted, each image by its own generator (``seed``, row). Raises
    DataError for other data, other channels and images below 8 px.
    """
    facts = require(info, ImageInfo, "the transform 'corrupt'")
    if facts.channels != 3 or facts.size < 8:
        raise DataError(
            f"the transform 'corrupt' takes images of 3 channels and 8 px or more, not of {facts.channels} and "
            f"{facts.size} px"
        )
    images = table.columns["image"]
    if not isinstance(images, torch.Tensor):
        raise DataError("the transform 'corrupt' takes images that are prepared, not encoded ones")
    rngs = [np.random.default_rng(derive(seed, str(row))) for row in range(len(table))]
    changed = corrupt(images.permute(0, 2, 3, 1).numpy(), config.kind, config.severity, rngs)
    image = torch.from_numpy(np.ascontiguousarray(changed.transpose(0, 3, 1, 2)))
    return Rows(Table({**table.columns, "image": image}), torch.arange(len(table)))
