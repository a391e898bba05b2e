"""What a run measured: the matrix of its main metric over experiences, and the other metrics."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Matrix:
    """Cells (value, count) of the main metric: row = after experience t, column = test experience j; and the pooled
    metrics a row."""

    cells: dict[tuple[int, int], tuple[float, int]] = field(default_factory=dict)
    pooled: dict[int, dict[str, float]] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        return {"cells": [[t, j, v, n] for (t, j), (v, n) in self.cells.items()], "pooled": self.pooled}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Matrix:
        return cls({(t, j): (v, n) for t, j, v, n in state["cells"]}, dict(state["pooled"]))

    @property
    def rows(self) -> int:
        """How many experiences it has been measured after."""
        return max(t for t, _ in self.cells) + 1

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["after_experience", "test_experience", "value", "count"])
        writer.writerows([t, j, repr(v), n] for (t, j), (v, n) in sorted(self.cells.items()))
        return text.getvalue()
