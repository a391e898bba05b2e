"""Wrong labels for a share of the rows, as annotators leave them: symmetric, or each class taken for the next."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.seeds import generator
from ..core.source import DataInfo
from ..core.table import Table
from ..core.transforms import Rows


class Config(BaseModel):
    """How many labels are wrong, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(0.2, ge=0, le=1, description="share of rows whose label is another one")
    kind: Literal["symmetric", "next"] = Field(
        "symmetric", description="symmetric: any other class alike; next: class c becomes c + 1, the last the first"
    )


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """``round(share N)`` rows get another class of those in the column ``label``; nothing says which they are. Raises
    DataError for labels that are no classes, or one class alone.
    """
    label = table.columns.get("label")
    if not isinstance(label, torch.Tensor) or label.is_floating_point():
        raise DataError("the transform 'label_noise' takes rows with a class as column 'label'")
    classes, position = label.unique(return_inverse=True)
    if len(classes) < 2:
        raise DataError("the transform 'label_noise' needs two classes or more")
    g = generator(seed, "label_noise")
    chosen = torch.randperm(len(label), generator=g)[: round(config.share * len(label))]
    shift = torch.ones(len(chosen), dtype=torch.int64)
    if config.kind == "symmetric":
        shift = torch.randint(1, len(classes), (len(chosen),), generator=g)
    noisy = label.clone()
    noisy[chosen] = classes[(position[chosen] + shift) % len(classes)]
    return Rows(Table({**table.columns, "label": noisy}), torch.arange(len(label)))
