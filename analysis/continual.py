"""Continual measures on top of any main metric, from the cells of the accuracy matrix."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

Cells = Mapping[tuple[int, int], tuple[float, int]]


def pooled(cells: Cells, t: int) -> float:
    """The metric on the pooled test sets measured after experience t: ``Σ_j n_j A[t][j] / Σ_j n_j``."""
    row = [cell for (s, _), cell in cells.items() if s == t]
    count = sum(n for _, n in row)
    return sum(v * n for v, n in row) / count if count else 0.0


def summary(cells: Cells) -> dict[str, float]:
    """``average`` (mean over t of the pooled metric), ``average_rows`` (mean over t of the mean of the row), ``last`` (pooled after the
    last), ``bwt = mean_{j<N-1}(A[N-1][j] - A[j][j])`` and ``forgetting = mean_{j<N-1}(max_{t=j..N-2} A[t][j] - A[N-1][j])``.

    Both last ones are 0 for one experience. Source: COCONUT spec section 9.
    """
    steps = sorted({t for t, _ in cells})
    last = steps[-1]
    rows = [[v for (s, _), (v, _) in cells.items() if s == t] for t in steps]
    result = {
        "average": statistics.fmean(pooled(cells, t) for t in steps),
        "average_rows": statistics.fmean(statistics.fmean(row) for row in rows),
        "last": pooled(cells, last),
        "bwt": 0.0,
        "forgetting": 0.0,
    }
    if len(steps) > 1:
        old = [j for t, j in cells if t == last and j < last]
        result["bwt"] = statistics.fmean(cells[last, j][0] - cells[j, j][0] for j in old)
        result["forgetting"] = statistics.fmean(
            max(cells[t, j][0] for t in range(j, last)) - cells[last, j][0] for j in old
        )
    return result
