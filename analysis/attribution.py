"""Which of several strengths a method's loss comes from, over a grid of them and over seeds.

Two answers of the same values. An analysis of variance says how much of the variation each strength, and each pair of
them together, accounts for; differences between the last and the first value of a strength say which way and how much.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .statistics import Difference, paired

SEED, RESIDUAL = "seed", "residual"
LEAST = 2  # seeds
MOST_OF_SHAPIRO = 5000  # beyond which scipy's p is not accurate
ALPHA = 0.05


@dataclass(frozen=True)
class Point:
    """A value at a seed and at ``strengths``, in the order of their names."""

    seed: int
    strengths: tuple[float, ...]
    value: float


@dataclass(frozen=True)
class Term:
    """A line of the table of variance.

    Attributes:
        df, sum_squares: degrees of freedom and sum of squares.
        f, p: F against the residual, and its p; NaN of the residual, and where the residual is 0.
        eta: η², its part of the total sum of squares (in balanced data they add up to 1 with seed and residual).
        omega: partial ω², ``df (MS - MS_e) / (df MS + (N - df) MS_e)``; below 0 where F < 1; NaN where F is.
    """

    name: str
    df: int
    sum_squares: float
    f: float = math.nan
    p: float = math.nan
    eta: float = math.nan
    omega: float = math.nan


@dataclass(frozen=True)
class Variance:
    """An analysis of variance and what was found of its assumptions.

    Attributes:
        terms: seed (the block), each strength, each pair (``a:b``), the residual.
        n, seeds: values, and seeds among them.
        shapiro: p of Shapiro and Wilk's test that the residuals are normal; NaN below three or where all are equal.
        levene: p of Levene's test (about the median) that the residuals of all cells have one variance; NaN likewise.
    """

    terms: tuple[Term, ...]
    n: int
    seeds: int
    shapiro: float
    levene: float

    @property
    def doubts(self) -> tuple[str, ...]:
        """The assumptions that these residuals speak against at 0.05, in words."""
        found = [("normal residuals (Shapiro-Wilk)", self.shapiro), ("equal variances (Levene)", self.levene)]
        return tuple(f"{what}: p = {p:.2g}" for what, p in found if p < ALPHA)


def variance(points: Sequence[Point], names: Sequence[str]) -> Variance:
    """Two-way analysis of variance with seeds as blocks: ``value ~ seed + Σ strength + Σ strength:strength``, Type II.

    Every strength is a category, so that no curve is assumed. Interactions of three and more stay in the residual.
    Assumed: residuals independent, normal and of one variance; no interaction of seed and strength. Normality and equal
    variances are tested; at few seeds these tests find little.

    Raises ValueError below two seeds, for a combination of strengths without a value, for two values of one seed and
    combination, and where no degree of freedom is left.

    Source: Fisher's analysis of variance by blocks, by statsmodels; Type II sums of squares as of Langsrud (Statistics
    and Computing 13, 2003); partial ω² as of Olejnik and Algina (Psychological Methods 8, 2003).
    """
    _refuse(points, names)
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    columns = {f"x{k}": [str(point.strengths[k]) for point in points] for k in range(len(names))}
    frame = pd.DataFrame({"y": [p.value for p in points], "seed": [str(p.seed) for p in points], **columns})
    pairs = list(itertools.combinations(range(len(names)), 2))
    formula = ["C(seed)", *(f"C(x{k})" for k in range(len(names))), *(f"C(x{a}):C(x{b})" for a, b in pairs)]
    titles = [SEED, *names, *(f"{names[a]}:{names[b]}" for a, b in pairs), RESIDUAL]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an F of 0 / 0 is NaN below
        fitted = ols(f"y ~ {' + '.join(formula)}", frame).fit()
        if fitted.df_resid < 1:
            raise ValueError("no degree of freedom is left for the residual: more seeds are needed")
        table = anova_lm(fitted, typ=2)
    rows = [table.loc[name] for name in (*formula, "Residual")]
    rounding = 1e-20 * float((frame["y"] ** 2).sum())  # equal values leave squares of this size
    total = float(((frame["y"] - frame["y"].mean()) ** 2).sum())
    total = 0.0 if total <= rounding else total
    exact = float(rows[-1]["sum_sq"]) <= max(1e-12 * total, rounding)
    terms = tuple(
        _term(title, row, rows[-1], total, len(points), exact) for title, row in zip(titles, rows, strict=True)
    )
    residuals = [0.0 if exact else float(value) for value in fitted.resid]
    return Variance(terms, len(points), len({p.seed for p in points}), *_assumptions(points, residuals))


def _refuse(points: Sequence[Point], names: Sequence[str]) -> None:
    if not names:
        raise ValueError("there is no strength to attribute anything to")
    seeds = {point.seed for point in points}
    if len(seeds) < LEAST:
        raise ValueError(f"{len(seeds)} seed: an analysis of variance over seeds needs {LEAST} or more")
    if len({(point.seed, point.strengths) for point in points}) < len(points):
        raise ValueError("two values of one seed at the same strengths")
    values = [sorted({point.strengths[k] for point in points}) for k in range(len(names))]
    single = [name for name, each in zip(names, values, strict=True) if len(each) < 2]
    if single:
        raise ValueError(f"{', '.join(single)}: one value alone has no effect to measure")
    empty = set(itertools.product(*values)) - {point.strengths for point in points}
    if empty:
        where = ", ".join(f"{name}={value:g}" for name, value in zip(names, sorted(empty)[0], strict=True))
        raise ValueError(f"{len(empty)} combinations of strengths without a value ({where})")


def _term(title: str, row: Any, residual: Any, total: float, n: int, exact: bool) -> Term:
    df, sum_squares = round(float(row["df"])), max(0.0, float(row["sum_sq"])) if total > 0 else 0.0
    eta = sum_squares / total if total > 0 else math.nan
    if title == RESIDUAL or exact:
        return Term(title, df, sum_squares, eta=eta)
    error = float(residual["sum_sq"]) / float(residual["df"])
    mean = sum_squares / df
    omega = df * (mean - error) / (df * mean + (n - df) * error)
    return Term(title, df, sum_squares, float(row["F"]), float(row["PR(>F)"]), eta, omega)


def _assumptions(points: Sequence[Point], residuals: Sequence[float]) -> tuple[float, float]:
    """(p of Shapiro and Wilk, p of Levene)."""
    from scipy.stats import levene, shapiro

    if len(residuals) < 3 or max(residuals) - min(residuals) == 0:
        return math.nan, math.nan
    cells: dict[tuple[float, ...], list[float]] = {}
    for point, value in zip(points, residuals, strict=True):
        cells.setdefault(point.strengths, []).append(value)
    groups = [values for values in cells.values() if len(values) > 1]
    normal = float(shapiro(residuals).pvalue) if len(residuals) <= MOST_OF_SHAPIRO else math.nan
    # with two seeds the residuals of a cell lie at equal distances from their median: Levene has nothing to compare
    equal = float(levene(*groups).pvalue) if len(groups) > 1 and max(map(len, groups)) > 2 else math.nan
    return normal, equal


def level(points: Sequence[Point], fixed: Mapping[int, float]) -> dict[int, float]:
    """Of each seed the mean over all combinations of strengths that have these values: ``fixed`` is number of the
    strength -> value. A seed that lacks one of the combinations is left out.
    """
    cells: dict[int, dict[tuple[float, ...], float]] = {}
    for point in points:
        cells.setdefault(point.seed, {})[point.strengths] = point.value
    numbers = range(len(points[0].strengths)) if points else ()
    axes = [[fixed[k]] if k in fixed else sorted({p.strengths[k] for p in points}) for k in numbers]
    every = list(itertools.product(*axes))
    whole = {seed: [each[one] for one in every] for seed, each in cells.items() if all(one in each for one in every)}
    return {seed: sum(values) / len(values) for seed, values in whole.items()}


def changes(points: Sequence[Point], names: Sequence[str]) -> dict[str, Difference]:
    """For each strength the value at its largest minus at its smallest, averaged over the other strengths, paired over
    seeds; for each pair what both together add beyond the sum of their own changes, at the ends of both,
    ``x(1,1) + x(0,0) - x(1,0) - x(0,1)``.

    A seed counts where it has a value at every combination that the means need.
    """
    ends = [(min(p.strengths[k] for p in points), max(p.strengths[k] for p in points)) for k in range(len(names))]
    made = {}
    for k, name in enumerate(names):
        made[name] = paired(level(points, {k: ends[k][1]}), level(points, {k: ends[k][0]}))
    for a, b in itertools.combinations(range(len(names)), 2):
        corners = {(i, j): level(points, {a: ends[a][i], b: ends[b][j]}) for i in (0, 1) for j in (0, 1)}
        more, less = _sum(corners[1, 1], corners[0, 0]), _sum(corners[1, 0], corners[0, 1])
        made[f"{names[a]}:{names[b]}"] = paired(more, less)
    return made


def _sum(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    return {seed: one[seed] + other[seed] for seed in one if seed in other}
