"""Delimited tables of any layout: with a header or none, separated by tabs, semicolons, commas or blanks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ..core.errors import DataError, refuse
from ..core.paths import within
from .csv import number
from .files import read_text

MISSING = ("", "na", "nan", "null", "?")  # what stands for no value, in lower case


def table_file(root: Path, name: str | None) -> Path:
    """The table under ``root``, or the root itself where it is a file; ``name`` None: the only one there.

    Raises DataError where there is none, or more than one.
    """
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(f"{root}: no such folder or file; --data-root names the table or its folder")
    if name is not None:
        try:
            path = within(root, name)
        except ValueError as error:
            raise DataError(f"data.options.file: {name!a} is no file under {root}; name it with --data-root") from error
        if not path.is_file():
            raise DataError(f"{path}: missing; data.options.file names a file under --data-root")
        return path
    kinds = (".csv", ".tsv", ".txt", ".dat")
    tables = sorted(p for p in root.iterdir() if p.is_file() and p.name.removesuffix(".gz").endswith(kinds))
    if len(tables) != 1:
        names = ", ".join(p.name for p in tables[:10]) or "none"
        raise DataError(f"{root}: {len(tables)} tables there ({names}); name one with data.options.file")
    return tables[0]


def read_table(
    path: Path, delimiter: str | None = None, header: bool | None = None, least: int = 4
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of the columns, and the rows, each with its file and line in words.

    ``delimiter`` None: whichever of tab, semicolon, comma and blanks the first line has; ``header`` None: the first
    line holds names where it holds no number; fewer than ``least`` rows are an error. Raises DataError for an empty or
    ragged table.
    """
    lines = [(n, line) for n, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: empty")
    delimiter = delimiter or next((d for d in ("\t", ";", ",") if d in lines[0][1].strip()), None)
    rows = []
    for n, line in lines:
        fields = next(csv.reader(io.StringIO(line), delimiter=delimiter)) if delimiter else line.split()
        rows.append((f"{path.name} line {n}", [field.strip() for field in fields]))
    first = rows[0][1]
    if header is None:
        header = all(number(f) is None for f in first)
    names = first if header else [str(i) for i in range(len(first))]
    if header:
        rows = rows[1:]
    if len(set(names)) < len(names):
        raise DataError(
            f"{path}: column names occur twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
        )
    refuse(
        str(path), [f"{where}: {len(row)} fields, not {len(names)}" for where, row in rows if len(row) != len(names)]
    )
    if len(rows) < least:
        why = "; training, validation and test need four or more" if least == 4 else ""
        raise DataError(f"{path}: {len(rows)} rows of data{why}")
    return names, rows


def column_of(names: list[str], name: str, option: str) -> int:
    """Number of the column ``name`` (``last``: the last one). Raises DataError, naming the option, where there is
    none.
    """
    if name == "last" and "last" not in names:
        return len(names) - 1
    if name in names:
        return names.index(name)
    raise DataError(f"{option}: no column '{name}' (there are: {', '.join(names[:30])})")
