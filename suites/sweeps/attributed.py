"""A grid's losses by cell, their analysis of variance and the changes, as plain data, tables and text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..config.markdown import markdown_table

if TYPE_CHECKING:
    from ...analysis.attribution import Point

LEVEL_DIGITS = 3
Table = tuple[list[str], list[list[str]]]
ASSUMED = (
    "Analysis of variance, Type II, seeds as blocks, every strength a category. Assumed: residuals independent, normal "
    "and of one variance, and no interaction of seed and strength. Seeds are those of the runs: the rows of a cell are "
    "drawn once, so that what one draw differs from another counts as the strength's."
)


def found(series: Mapping[tuple[str, str], Sequence[Point]], names: Sequence[str]) -> dict[str, Any]:
    """``levels`` (mean of each cell), ``variance`` and ``changes`` of every series (what is measured, method); where
    there is no analysis, ``refused`` says why. Not a number is None.
    """
    from ...analysis import attribution
    from ...analysis.statistics import estimate, holm, smallest_detectable

    levels, tables, moved, refused = [], [], [], []
    for (kind, method), points in series.items():
        cells: dict[tuple[float, ...], list[float]] = {}
        for point in points:
            cells.setdefault(point.strengths, []).append(point.value)
        for cell, values in sorted(cells.items()) if kind == "loss" else ():
            one = estimate(values)
            strengths = dict(zip(names, cell, strict=True))
            levels.append({"method": method, "strengths": strengths, "mean": one.mean, "half": one.half, "n": one.n})
        try:
            table = attribution.variance(points, names)
        except ValueError as error:
            refused.append({"of": kind, "method": method, "why": str(error)})
            continue
        about = {"of": kind, "method": method}
        tables.append(
            {
                **about,
                "terms": [vars(term) for term in table.terms],
                **{name: getattr(table, name) for name in ("n", "seeds", "shapiro", "levene")},
                "doubts": list(table.doubts),
            }
        )
        for source, change in attribution.changes(points, names).items():
            smallest = smallest_detectable(change) if change.n else math.nan
            moved.append({**about, "source": source, **vars(change), "smallest": smallest})
    for kind in dict.fromkeys(row["of"] for row in moved):
        rows = [row for row in moved if row["of"] == kind]
        for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
            row["p_holm"] = p
    document = {"levels": levels, "variance": tables, "changes": moved, "refused": refused}
    return dict(_plain(document))


def _plain(value: Any) -> Any:
    """The same with None in the place of what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def states(document: Mapping[str, Any]) -> str:
    """How many trials are in which state, and why the first failed."""
    counts = Counter(row["state"] for row in document["trials"])
    words = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none was begun"
    first = next((row["error"] for row in document["trials"] if row["error"]), None)
    return f"{words}{f' ({first})' if first else ''}; the others: suites resume {document['study']}"


def number(value: float | None, digits: int = LEVEL_DIGITS) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def probability(p: float | None) -> str:
    return "" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _interval(mean: float | None, half: float | None, sign: str = "") -> str:
    if mean is None:
        return "-"
    return f"{mean:{sign}.3f}{'' if half is None else f' ± {half:.3f}'}"


def variance_table(document: Mapping[str, Any]) -> Table:
    """A line a term of each analysis; both tests of assumptions stand beside the residual."""
    header = ["of", "method", "source", "df", "sum of squares", "η²", "partial ω²", "F", "p", "Shapiro p", "Levene p"]
    rows = []
    for one in document["variance"]:
        for term in one["terms"]:
            tests = [one["shapiro"], one["levene"]] if term["name"] == "residual" else [None, None]
            cells = [number(term["sum_squares"]), number(term["eta"]), number(term["omega"]), number(term["f"], 4)]
            cells += [probability(term["p"]), *map(probability, tests)]
            rows.append([one["of"], one["method"], term["name"], str(term["df"]), *cells])
    return header, rows


def changes_table(document: Mapping[str, Any]) -> Table:
    """A line a strength and pair of each method: how the loss changes, and what a change must be to be found."""
    header = ["of", "method", "source", "change", "seeds", "p (Holm)", "smallest change found with power 0.8"]
    rows = []
    for one in document["changes"]:
        cells = [_interval(one["mean"], one["half"], "+"), str(one["n"]), probability(one["p_holm"])]
        rows.append([one["of"], one["method"], one["source"], *cells, number(one["smallest"])])
    return header, rows


def levels_table(document: Mapping[str, Any]) -> Table:
    """A line a method, a column a combination of strengths: mean loss ± half of the 95 % interval over seeds."""
    cells: dict[str, dict[str, str]] = {}
    for row in document["levels"]:
        cell = ", ".join(f"{name} {value:g}" for name, value in row["strengths"].items())
        cells.setdefault(row["method"], {})[cell] = _interval(row["mean"], row["half"])
    columns = list(dict.fromkeys(cell for row in cells.values() for cell in row))
    return ["method", *columns], [[method, *(row.get(c, "-") for c in columns)] for method, row in cells.items()]


def sentences(document: Mapping[str, Any]) -> list[str]:
    """What the tables mean, and what is lacking or in doubt."""
    said = []
    if document["joint"] is None:
        said.append("No method trains on all experiences at once (joint): forgetting is not told from the rest.")
    else:
        said.append(f"Forgetting: loss minus that of {document['joint']} at the same strengths and seed.")
    if document["lacking"]:
        said.append(f"{document['lacking']} points have no value: {states(document)}.")
    for row in document["refused"]:
        said.append(f"No analysis of {row['of']} of {row['method']}: {row['why']}.")
    if document["variance"]:
        said.append(ASSUMED)
        doubted = [
            f"{one['of']} of {one['method']} ({'; '.join(one['doubts'])})"
            for one in document["variance"]
            if one["doubts"]
        ]
        said.append(f"Assumptions in doubt at 0.05: {', '.join(doubted) if doubted else 'none'}.")
    return said


def text(document: Mapping[str, Any]) -> str:
    """The tables in Markdown with what must be known to read them."""
    parts = [f"Loss: {document['metric']['loss']}; mean ± half of the 95 % interval over seeds.\n\n"]
    parts.append(markdown_table(*levels_table(document)))
    parts += [f"\n\n{sentence}" for sentence in sentences(document)]
    if document["changes"]:
        words = "Changes from the smallest to the largest value of each strength, over the others; of a pair what both "
        parts += [f"\n\n{words}add beyond the sum of their own:\n\n", markdown_table(*changes_table(document))]
    if document["variance"]:
        parts += ["\n\nWhat the loss varies with:\n\n", markdown_table(*variance_table(document))]
    return "".join(parts) + "\n"
