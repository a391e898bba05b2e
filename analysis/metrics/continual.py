"""Continual measures on top of any main metric, from the cells of the accuracy matrix."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Cells = Mapping[tuple[int, int], tuple[float, int]]


def pooled(cells: Cells, t: int) -> float:
    """The metric on the pooled test sets measured after experience t: ``Σ_j n_j A[t][j] / Σ_j n_j``."""
    row = [cell for (s, _), cell in cells.items() if s == t]
    count = sum(n for _, n in row)
    return sum(v * n for v, n in row) / count if count else 0.0


def forgotten(values: Sequence[float], higher_is_better: bool = True) -> float:
    """How much worse the last of ``values``, one after each experience, is than the best of those before: above 0 where
    it is worse. Raises ValueError for fewer than two.
    """
    if len(values) < 2:
        raise ValueError("what is forgotten shows after a further experience: two values or more are needed")
    sign = 1 if higher_is_better else -1
    return max(sign * value for value in values[:-1]) - sign * values[-1]


def summary(cells: Cells, higher_is_better: bool = True) -> dict[str, float]:
    """``average`` (mean over t of the pooled metric), ``average_rows`` (mean over t of the mean of the row), ``last``
    (pooled after the last), ``bwt = mean_{j<N-1}(A[N-1][j] - A[j][j])`` and ``forgetting =
    mean_{j<N-1}(max_{t=j..N-2} A[t][j] - A[N-1][j])``.

    Both last ones are 0 for one experience. Of an error (``higher_is_better`` False) ``forgetting`` is its increase,
    ``mean_{j<N-1}(A[N-1][j] - min_t A[t][j])``, and ``bwt`` has the opposite sign, so that more is better in both
    cases.
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
        sign = 1 if higher_is_better else -1
        result["bwt"] = statistics.fmean(sign * (cells[last, j][0] - cells[j, j][0]) for j in old)
        result["forgetting"] = statistics.fmean(
            forgotten([cells[t, j][0] for t in range(j, last + 1)], higher_is_better) for j in old
        )
    return result
