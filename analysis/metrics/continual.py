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
    mean_{j<N-1}(max_{t=j..N-2} A[t][j] - A[N-1][j])``; of several experiences :func:`trade_off` too.

    Both last ones are 0 for one experience. Of an error (``higher_is_better`` False) ``forgetting`` is its increase,
    ``mean_{j<N-1}(A[N-1][j] - min_t A[t][j])``, and ``bwt`` has the opposite sign, so that more is better in both
    cases. Cells of experiences still to come (j > t) are in ``generalisability`` alone.
    """
    steps = sorted({t for t, _ in cells})
    last = steps[-1]
    seen = {(t, j): cell for (t, j), cell in cells.items() if j <= t} if len(steps) > 1 else cells
    rows = [[v for (s, _), (v, _) in seen.items() if s == t] for t in steps]
    result = {
        "average": statistics.fmean(pooled(seen, t) for t in steps),
        "average_rows": statistics.fmean(statistics.fmean(row) for row in rows),
        "last": pooled(seen, last),
        "bwt": 0.0,
        "forgetting": 0.0,
    }
    if len(steps) > 1:
        old = [j for t, j in seen if t == last and j < last]
        sign = 1 if higher_is_better else -1
        result["bwt"] = statistics.fmean(sign * (seen[last, j][0] - seen[j, j][0]) for j in old)
        result["forgetting"] = statistics.fmean(
            forgotten([seen[t, j][0] for t in range(j, last + 1)], higher_is_better) for j in old
        )
        result |= trade_off(cells, higher_is_better)
    return result


def trade_off(cells: Cells, higher_is_better: bool = True) -> dict[str, float]:
    """Three measures of ours, one of each part of the matrix: diagonal, below it, above it.

    ``plasticity = mean_j A[j][j]``, the metric on an experience right after it was learnt;
    ``stability = Σ_{j<t} A[t][j] / Σ_{j<t} A[j][j]``, the share of it that is kept over all later times (of an error
    the inverse; above 1: it got better), left out where a value is negative or there is nothing to keep;
    ``generalisability = mean_{j>t} A[t][j]``, on experiences still to come, where they were measured
    (``evaluate.future``). None of them is the Dual-transfer Matching Index of arXiv 2402.10427, which is about the same
    three and whose formula was not at hand.
    """
    learnt = [value for (t, j), (value, _) in cells.items() if t == j]
    kept = [(value, cells[j, j][0]) for (t, j), (value, _) in cells.items() if j < t]
    ahead = [value for (t, j), (value, _) in cells.items() if j > t]
    found = {"plasticity": statistics.fmean(learnt)}
    then, at_first = (sum(values) for values in zip(*kept, strict=True))
    whole, part = (at_first, then) if higher_is_better else (then, at_first)
    if whole > 0 and min(map(min, kept)) >= 0:
        found["stability"] = part / whole
    if ahead:
        found["generalisability"] = statistics.fmean(ahead)
    return found
