"""What a person sees while things run: one object, which also behaves in a pipe and in CI."""

from __future__ import annotations

import logging
import re
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..config.private import redact

NAME = 24  # names of the first column that are no longer are not broken at spaces either
NUMBER = re.compile(r"[-+<±.,\d ↑↓]+")
STYLES = {"better": "green", "worse": "red", "failed": "red", "interrupted": "yellow", "finished": "green"}


@dataclass(frozen=True)
class _Layout:
    """How a table fits a screen: tables below each other (columns and their widths), and columns that fit in none."""

    blocks: list[dict[int, int]]
    loose: list[int]


def _least(cell: str, name: bool) -> int:
    """The width below which a cell would break inside a number or a word, or (``name``) a short name at a space."""
    if NUMBER.fullmatch(cell) or (name and cell_len(cell) <= NAME):
        return max(map(cell_len, cell.split("\n")), default=0)
    return max(map(cell_len, cell.split()), default=0)


def _layout(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> _Layout:
    """Columns from left to right into as many tables as are needed, each with the first column."""
    columns = [[name, *(row[number] for row in rows)] for number, name in enumerate(header)]
    least = [max(_least(cell, number == 0) for cell in cells) for number, cells in enumerate(columns)]
    whole = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    frame = 3  # of a column; one more at the end
    blocks: list[list[int]] = [[0]]
    loose = [n for n in range(1, len(header)) if least[0] + least[n] + 2 * frame + 1 > width]
    for number in range(1, len(header)):
        if number in loose:
            continue
        if 1 + sum(least[n] + frame for n in [*blocks[-1], number]) > width:
            blocks.append([0])
        blocks[-1].append(number)
    if len(loose) and blocks == [[0]]:
        return _Layout([], [0, *loose])
    return _Layout([_shared_out(block, least, whole, width - frame * len(block) - 1) for block in blocks], loose)


def _shared_out(block: Sequence[int], least: Sequence[int], whole: Sequence[int], width: int) -> dict[int, int]:
    """A width for each column of a block: as wide as its cells, or its part of what is left of ``width``."""
    wish = sum(whole[n] - least[n] for n in block)
    left = width - sum(least[n] for n in block)
    if wish <= left:
        return {n: whole[n] for n in block}
    return {n: least[n] + left * (whole[n] - least[n]) // wish for n in block}


def plain_warnings() -> None:
    """Our own warnings as one line for a person; those of libraries as Python shows them, without secrets."""
    shown, package = warnings.formatwarning, Path(__file__).resolve().parents[2]

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        own = category is UserWarning and package in Path(filename).resolve().parents
        text = f"warning: {message}\n" if own else shown(message, category, filename, lineno, line)
        (file or sys.stderr).write(redact(text))

    warnings.showwarning = show


class Console:
    """Progress and lines, without secrets. With ``json`` everything goes to standard error, so that standard output
    holds one document alone."""

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        self.quiet = quiet  # in a worker: nothing is shown
        self.rich = Rich(stderr=json, highlight=False)
        self.notes = Rich(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._last = 0.0
        self._text, self._postfix, self._steps = "", "", 0

    def line(self, text: str) -> None:
        self.rich.print(redact(text), markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line beside the results, on standard error."""
        if not self.quiet:
            self.notes.print(redact(text), markup=False, soft_wrap=True)

    def warning(self, text: str) -> None:
        self.notes.print(redact(f"warning: {text}"), markup=False, soft_wrap=True)

    def paragraph(self, label: str, text: str) -> None:
        """Words after a label, wrapped below each other; words, and so paths, stay whole."""
        width = max(self.rich.width, len(label) + 20)
        wrapped = textwrap.wrap(
            redact(text),
            width,
            initial_indent=label,
            subsequent_indent=" " * len(label),
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.rich.print("\n".join(wrapped), markup=False, soft_wrap=True)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Numbers, paths and words are never broken: columns for which the screen is too narrow are put in further
        tables below, each with the first column, and cells that fit no table on lines of their own.
        """
        header, rows = [redact(name) for name in header], [[redact(cell) for cell in row] for row in rows]
        if title:
            self.paragraph("", title)
        layout = _layout(header, rows, self.rich.width)
        for block in layout.blocks:
            table = Table()
            for number, width in block.items():
                table.add_column(
                    header[number],
                    justify="right" if number and all(NUMBER.fullmatch(row[number] or "-") for row in rows) else "left",
                    overflow="fold",
                    width=width,
                )
            for row in rows:
                table.add_row(*(Text(row[number], STYLES.get(row[number], "")) for number in block))
            self.rich.print(table)
        for row in rows if layout.loose else ():
            self.line(row[0])
            for number in layout.loose:
                if number and row[number]:
                    self.line(f"  {header[number]}: {row[number]}")

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """A live bar on a terminal, a line every few seconds elsewhere; yields ``tick(done, total)``."""
        self._text, self._postfix, self._steps = text, "", 0
        if self.quiet or not sys.stderr.isatty():
            self._last = time.monotonic()
            yield self._tick
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.notes, transient=True) as self._progress:
            self._task = self._progress.add_task(text, total=None, note="")
            try:
                yield self._tick
            finally:
                self._progress = None

    def _tick(self, done: int, total: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
        else:
            self._plain(f"{done}/{total}")

    def _plain(self, text: str) -> None:
        if self.quiet:
            return
        if time.monotonic() - self._last >= 5:
            self._last = time.monotonic()
            self.notes.print(f"{self._text}: {text} {self._postfix}".rstrip(), markup=False, soft_wrap=True)

    def status(self, text: str) -> None:
        self._text = text
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=text)

    def postfix(self, text: str) -> None:
        self._postfix = text
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, note=text)

    def advance(self) -> None:
        self._steps += 1
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)
        else:
            self._plain(f"step {self._steps}")


class Silent(Console):
    """Nothing is shown; warnings go to the logger ``holdfast``, which shows them where the caller configured
    logging."""

    def __init__(self) -> None:
        super().__init__(json=True, quiet=True)

    def warning(self, text: str) -> None:
        logger = logging.getLogger("holdfast")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        logger.warning("%s", redact(text))
