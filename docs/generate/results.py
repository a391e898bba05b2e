"""Writes docs/results/*.md from docs/results/sources/*.yaml and the CSVs beside them.

    python docs/generate/results.py            writes the pages
    python docs/generate/results.py --check    writes nothing; exit code 1 where a page is not what its source gives

A source has a title, one line for the index, and the content in order: texts (Markdown), tables, boards. A table has
the command that made it, and ``cells`` (figures as published, whose runs are not kept) or ``runs``: a CSV of
docs/generate/export.py with the rows and columns to compute. A row without all its runs takes its figures from
``published``, marked on the page. A board has every method of its suites on each of its data sets, what is measured
beside what it costs; a cell without a run says so. Orders: do methods rank alike in several places? The statistics are
those of ``suites compare``.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics as plain
import sys
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

import yaml
from holdfast.analysis import statistics
from holdfast.suites.config import catalog, measures
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.markdown import markdown_table
from holdfast.suites.reports import orders
from holdfast.suites.reports.compared import pm, probability
from pydantic import BaseModel, ConfigDict, Field, ValidationError

RESULTS = Path(__file__).resolve().parents[1] / "results"
COMMAND = "python docs/generate/results.py"
AGAINST = ("difference", "p", "smallest")  # columns that compare with the base
Key = tuple[int, int]  # seed of the run, seed of the data


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Column(Strict):
    """One computed column: ``show`` of ``metric`` on the rows of the CSV whose ``data`` is this."""

    title: str
    show: Literal["interval", "deviation", "mean", "difference", "p", "smallest", "rank"]
    metric: str
    data: str = ""
    brackets: str = ""  # a metric whose mean follows in brackets


class Table(Strict):
    """A table of figures as published (``cells``) or computed from ``runs``."""

    command: str
    where: dict[str, str] = {}  # what a capital letter or word in the command stands for
    cells: str = ""
    runs: str = ""
    first: str = "method"
    rows: dict[str, str | None] = {}  # method of the CSV -> how the page names it
    columns: list[Column] = []
    than: str = ""
    outside: list[str] = []  # rows that are not among the comparisons
    overlap: str = Field("0", pattern=r"^\d+(/\d+)?$")  # n_test / n_train of random splits of one table
    seeds: list[int] = []  # those of the CSV that count; none: all
    published: str = ""  # figures of rows whose runs are not kept
    best_first: bool = False  # rows by rank, or by the mean of the first column
    problem: str = ""  # declares which way a metric is better


class DataSet(Strict):
    """One data set of a board: the suite whose methods are its rows, and the CSV of their runs (none: no run)."""

    title: str
    suite: str
    command: str
    where: dict[str, str] = {}
    runs: str = ""
    more: str = ""  # runs on other seeds or data, for methods that ``runs`` lacks; marked
    overlap: str = Field("0", pattern=r"^\d+(/\d+)?$")
    costs: str = ""  # CSV of what a run costs; none: not recorded


class Board(Strict):
    """Every method of the suites, a table a data set and one of all by the first column."""

    board: list[DataSet]
    problem: str
    columns: dict[str, str]  # title -> metric
    costs: dict[str, str]  # title -> metric


class Orders(Strict):
    """Do methods rank alike in several places? ``orders``: name of the place -> the CSV of its runs."""

    orders: dict[str, str]
    methods: list[str]
    metric: str
    problem: str


class Pages(Strict):
    """The list of pages, in the index."""

    pages: list[str]


class Source(Strict):
    title: str
    summary: str = ""
    content: list[str | Table | Pages | Board | Orders]


def wrong(what: str, where: str) -> Fault:
    return Fault.recipe(what, where, f"correct it, then: {COMMAND}")


def cells_of(text: str, where: str) -> list[list[str]]:
    """Lines of ``a | b | c`` as lists; the first is the header. Raises Fault where one has not as many cells."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    for row in (row for row in rows if len(row) != len(rows[0])):
        raise wrong(f"the line '{' | '.join(row)}' has {len(row)} cells, the header {len(rows[0])}", where)
    return rows


def higher_is_better(problem: str, metric: str, where: str) -> bool:
    return bool(measures.look_up(measures.metrics(problem), metric, where, COMMAND).higher_is_better)


def lines_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV. Raises Fault where it is missing."""
    if not path.is_file():
        raise wrong("the CSV of a table is missing", str(path))
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


class Computed:
    """The figures of a table from its CSV."""

    def __init__(self, table: Table, folder: Path) -> None:
        self.table, self.where = table, table.runs
        self.overlap = float(Fraction(table.overlap))
        lines = lines_of(folder / table.runs)
        self.lines = [line for line in lines if not table.seeds or int(line["seed"]) in table.seeds]
        if not self.lines:
            raise wrong("there is no run of these seeds", self.where)
        asked = {name for column in table.columns for name in (column.metric, column.brackets) if name}
        if missing := sorted(asked - set(self.lines[0])):
            raise wrong(f"the CSV has no column {', '.join(missing)}", self.where)
        self._published()
        if unknown := [name for name in (table.than, *table.outside) if name and name not in table.rows]:
            raise wrong(f"no row is named {', '.join(unknown)}", self.where)

    def _published(self) -> None:
        """The rows that are as published: those of which a column has no run."""
        header, *rows = cells_of(self.table.published, self.where) if self.table.published else [[]]
        known = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}
        columns = [column for column in self.table.columns if column.show != "rank"]
        absent = [m for m in self.table.rows if not all(self.values(m, column) for column in columns)]
        if missing := [method for method in absent if method not in known]:
            raise wrong(f"there are neither runs nor published figures of {', '.join(missing)}", self.where)
        if absent and any(column.show in AGAINST for column in self.table.columns):
            raise wrong(f"paired figures need the runs of all rows; these have none: {', '.join(absent)}", self.where)
        self.published = {method: known[method] for method in absent}

    def values(self, method: str, column: Column, metric: str = "") -> dict[Key, float]:
        """The metric of a method's runs by their seeds."""
        name = metric or column.metric
        chosen = [one for one in self.lines if (one["method"], one["data"]) == (method, column.data) and one[name]]
        given = {(int(one["seed"]), int(one["data_seed"])): float(one[name]) for one in chosen}
        if self.overlap and len({split for _, split in given}) < len(given):
            raise wrong(f"{method} has several runs on one split, which are no splits of their own", self.where)
        return given

    def mean(self, method: str, column: Column) -> float:
        """The mean, of all rows as the page shows it where it is known of some only so."""
        if self.published:
            return float(self.cell(method, column).split(" ")[0].replace(",", ""))
        return statistics.estimate(list(self.values(method, column).values())).mean

    def difference(self, method: str, column: Column) -> statistics.Difference:
        return statistics.paired(self.values(method, column), self.values(self.table.than, column), self.overlap)

    def compared(self) -> list[str]:
        """The rows that are compared with the base."""
        return [m for m in self.table.rows if m != self.table.than and m not in self.table.outside]

    def holm(self, column: Column) -> dict[str, float]:
        p = [self.difference(method, column).p for method in self.compared()]
        return dict(zip(self.compared(), statistics.holm(p), strict=True))

    def better(self, column: Column) -> bool:
        """Whether the metric is better where it is higher, as the problem declares it."""
        return higher_is_better(self.table.problem, column.metric, self.where)

    @cached_property
    def ranks(self) -> dict[str, float]:
        """Average rank over the columns of intervals."""
        columns = [column for column in self.table.columns if column.show == "interval"]
        means = [[self.mean(method, column) for method in self.table.rows] for column in columns]
        return dict(zip(self.table.rows, statistics.ranks(means, self.better(columns[0])), strict=True))

    def cell(self, method: str, column: Column) -> str:
        if column.show == "rank":
            return f"{self.ranks[method]:.2f}"
        if method in self.published:
            return self.published[method][column.title]
        if column.show in AGAINST:
            return self._against(method, column)
        values = list(self.values(method, column).values())
        one = statistics.estimate(values, self.overlap)
        half = {"interval": one.half, "deviation": plain.stdev(values)}.get(column.show, float("nan"))
        extra = list(self.values(method, column, column.brackets).values()) if column.brackets else []
        return pm(one.mean, half) + (f" ({plain.fmean(extra):.3f})" if extra else "")

    def _against(self, method: str, column: Column) -> str:
        if method not in self.compared():
            return ""
        if column.show == "p":
            return probability(self.holm(column)[method])
        difference = self.difference(method, column)
        if column.show == "smallest":
            return f"{statistics.smallest_detectable(difference):.3f}"
        return pm(difference.mean, difference.half, "+")

    def order(self) -> list[str]:
        """The methods in the order of the rows."""
        methods = list(self.table.rows)
        if not self.table.best_first:
            return methods
        if any(column.show == "rank" for column in self.table.columns):
            return sorted(methods, key=lambda method: self.ranks[method])
        first = self.table.columns[0]
        return sorted(methods, key=lambda method: self.mean(method, first), reverse=self.better(first))

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows as texts."""
        header, rows = [self.table.first, *(column.title for column in self.table.columns)], []
        for method in self.order():
            name = (self.table.rows[method] or method) + " †" * (method in self.published)
            rows.append([name, *(self.cell(method, column) for column in self.table.columns)])
        return header, rows

    def legend(self) -> Iterator[str]:
        """What the figures are, in sentences."""
        shown = {column.show for column in self.table.columns}
        seeds = sorted({int(line["seed"]) for line in self.lines if line["method"] in self.table.rows})
        consecutive = len(seeds) > 2 and all(b == a + 1 for a, b in pairwise(seeds))
        listed = f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
        yield f"Computed from [{self.table.runs}](sources/{self.table.runs}), seed{'s' * (len(seeds) > 1)} {listed}."
        resampled = "the corrected resampled t-test (Nadeau and Bengio 2003; n_test / n_train = "
        test = f"{resampled}{self.table.overlap})" if self.overlap else "Student's t"
        if shown & {"interval", "difference"}:
            yield f"± is half of the 95 % interval; intervals and tests are those of {test}."
        if "deviation" in shown:
            yield "± is the standard deviation."
        if "p" in shown:
            yield f"p is Holm's over the {len(self.compared())} comparisons with `{self.table.than}`."
        if "smallest" in shown:
            yield "The smallest difference to be found: in four of five such experiments, from the spread seen."
        if "rank" in shown:
            tasks = sum(column.show == "interval" for column in self.table.columns)
            critical = statistics.critical_difference(len(self.table.rows), tasks)
            yield f"Ranks nearer than {critical:.1f} (Nemenyi, 0.05) do not differ significantly."
        if self.published:
            yield "† Figures as published; the runs are not kept."


def _command(command: str, where: Mapping[str, str]) -> str:
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in where.items())
    return f"```sh\n{command.strip()}\n```" + f"\n\n{meanings}." * bool(where)


def of_table(table: Table, folder: Path, where: str) -> str:
    """Command, table and legend."""
    if bool(table.cells) == bool(table.runs):
        raise wrong("a table has either cells or runs", where)
    above = _command(table.command, table.where)
    if table.runs:
        computed = Computed(table, folder)
        return f"{above}\n\n{markdown_table(*computed.rows())}\n\n{' '.join(computed.legend())}"
    header, *rows = cells_of(table.cells, where)
    return f"{above}\n\n{markdown_table(header, rows)}\n\nFigures as published; the runs are not kept."


def of_board(board: Board, folder: Path) -> str:
    """A table of all data sets by the first column, then one a data set."""
    found = [measured(board, one, folder) for one in board.board]
    methods = dict.fromkeys(method for of in found for method in of)
    rows = [[method, *(of[method][1] if method in of else "" for of in found)] for method in methods]
    header = ["method", *(one.title for one in board.board)]
    parts = [f"All data sets by {next(iter(board.columns))}:", markdown_table(header, rows)]
    for one, of in zip(board.board, found, strict=True):
        known = {line["method"]: line for line in (lines_of(folder / one.costs) if one.costs else [])}
        rows = [[m, *cells, *_costs(board, known.get(m, {}))] for m, cells in of.items()]
        header = ["method", "runs", *board.columns, *board.costs]
        parts += [f"### {one.title}", _command(one.command, one.where), markdown_table(header, rows), _said(one)]
    return "\n\n".join(parts)


def of_orders(item: Orders, folder: Path) -> str:
    """The rank correlation of every two places, and both orders."""
    places: list[dict[str, dict[Key, float]]] = [{m: {} for m in item.methods} for _ in item.orders]
    for place, file in zip(places, item.orders.values(), strict=True):
        for line in lines_of(folder / file):
            place.get(line["method"], {})[int(line["seed"]), int(line["data_seed"])] = float(line[item.metric])
    found = orders.between(list(item.orders), places, higher_is_better(item.problem, item.metric, "orders"))
    parts = [markdown_table(header, rows) for _, header, rows in orders.tables({"metric": "", "orders": found})]
    return "\n\n".join([*parts, f"Computed from {', '.join(f'[{x}](sources/{x})' for x in item.orders.values())}."])


def measured(board: Board, one: DataSet, folder: Path) -> dict[str, list[str]]:
    """Method -> number of runs and the columns; best first by the first column, then what has no runs."""
    lines, more = (lines_of(folder / name) if name else [] for name in (one.runs, one.more))
    names = list(board.columns.values())
    higher = higher_is_better(board.problem, names[0], one.title)
    found: list[tuple[tuple[bool, float], str, list[str]]] = []
    for method in catalog.recipe(one.suite, None).methods:
        own = [line for line in lines if line["method"] == method]
        given = own or [line for line in more if line["method"] == method]
        mark = " ‡" * bool(given and not own)
        if missing := [name for name in names if given and name not in given[0]]:
            raise wrong(f"the CSV has no column {', '.join(missing)}", one.title)
        values = [[float(line[name]) for line in given] for name in names if given]
        means = [statistics.estimate(each, float(Fraction(one.overlap))) for each in values]
        cells = [pm(each.mean, each.half) + mark for each in means] or ["no runs"] * len(names)
        place = (bool(mark), means[0].mean * (-1 if higher else 1)) if means else (True, float("inf"))
        found.append((place, method, [f"{len(given)}{mark}", *cells]))
    return {method: cells for _, method, cells in sorted(found, key=lambda row: row[0])}


def _costs(board: Board, line: Mapping[str, str]) -> list[str]:
    """A cost that the runs of the CSV do not have is empty there: that method has none."""
    given = [line.get(name, "not recorded") or "-" for name in board.costs.values()]
    return [f"{float(text):,.4g}" if text[0].isdigit() else text for text in given]


def _said(one: DataSet) -> str:
    if not one.runs:
        return "No result file is kept of this data set."
    test = f"the corrected resampled t-test; n_test / n_train = {one.overlap}" if one.overlap != "0" else "Student's t"
    said = f"Computed from [{one.runs}](sources/{one.runs}). ± is half of the 95 % interval ({test})."
    marked = f" ‡ From [{one.more}](sources/{one.more}): other seeds and data, not to be set against the other rows."
    return said + marked * bool(one.more)


def read(path: Path) -> Source:
    """A source. Raises Fault with what is wrong with it."""
    try:
        return Source.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise wrong(" ".join(str(error).split()), str(path)) from error


def pages(folder: Path = RESULTS / "sources") -> dict[str, str]:
    """Name of every page -> its text."""
    sources = {path.stem: read(path) for path in sorted(folder.glob("*.yaml"))}
    return {f"{name}.md": page(name, source, sources, folder) for name, source in sources.items()}


def page(name: str, source: Source, sources: Mapping[str, Source], folder: Path) -> str:
    where = f"{name}.yaml"
    parts = [f"<!-- Generated from sources/{where} by: {COMMAND} (do not edit by hand) -->", f"# {source.title}"]
    for item in source.content:
        if isinstance(item, Pages):
            if set(item.pages) != set(sources) - {name}:
                raise wrong(f"its pages are not those that there are: {', '.join(sorted(sources))}", where)
            parts.append("\n".join(f"- [{sources[n].title}]({n}.md): {sources[n].summary}" for n in item.pages))
        elif isinstance(item, Board | Orders):
            parts.append(of_board(item, folder) if isinstance(item, Board) else of_orders(item, folder))
        else:
            parts.append(item.strip() if isinstance(item, str) else of_table(item, folder, where))
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="pages of docs/results from their sources")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a page differs")
    given = parser.parse_args(arguments)
    try:
        written = pages()
    except Fault as fault:
        sys.stderr.write(f"error: {fault.what}\nwhere: {fault.where}\nnext:  {fault.next}\n")
        return fault.exit_code
    there = {path.name: path.read_text(encoding="utf-8") for path in RESULTS.glob("*.md")}
    differing = [name for name in written if there.get(name) != written[name]]
    for name in () if given.check else differing:
        (RESULTS / name).write_text(written[name], encoding="utf-8")
    verb = "not up to date" if given.check else "written"
    sys.stdout.write(f"{verb}: {', '.join(differing) or 'none'} of {len(written)} pages\n")
    return 1 if given.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
