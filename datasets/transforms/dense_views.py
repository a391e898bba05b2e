"""Rows with their maps and random views of them, made once: mirrored, enlarged, shrunk or turned."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ..core.dense import Views, augmented
from ..core.errors import DataError
from ..core.multi_task import MultiTaskInfo
from ..core.seeds import generator
from ..core.source import DataInfo, require
from ..core.table import Table
from ..core.transforms import Rows

CHUNK = 64  # rows that are resampled together


class Config(Views):
    """How many views, and how they differ from their row."""

    copies: int = Field(1, ge=1, le=20, description="views of each row, beside the row itself")


def transform(config: Config, table: Table, info: DataInfo, seed: int) -> Rows:
    """The rows, and ``copies`` views of each behind them. Raises DataError for data without images and several tasks.

    The views of a copy are drawn from (``seed``, number of the copy, number of the chunk of 64 rows).
    """
    facts = require(info, MultiTaskInfo, "the transform 'dense_views'")
    if facts.column != "image":
        raise DataError("the transform 'dense_views' takes images, and these rows have none")
    columns: dict[str, Tensor] = {}
    for name, column in table.columns.items():
        if not isinstance(column, Tensor):
            raise DataError(
                f"the transform 'dense_views' takes columns of one shape that lie in memory or files, not '{name}'"
            )
        columns[name] = column
    parts = [columns]
    fill = facts.mean or (0.5,) * facts.input_shape[0]
    for copy in range(config.copies):
        for number, start in enumerate(range(0, len(table), CHUNK)):
            chunk = {name: column[start : start + CHUNK] for name, column in columns.items()}
            g = generator(seed, f"dense_views/{copy}/{number}")
            parts.append(augmented(chunk, facts.tasks, config, g, fill))
    joined = {name: torch.cat([part[name] for part in parts]) for name in columns}
    return Rows(Table(joined), torch.arange(len(table)).repeat(1 + config.copies))
