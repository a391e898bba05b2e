"""What a person sees while things run: one object, which also behaves in a pipe and in CI."""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..config.private import redact

NAME, TEXT = 24, 20  # a table's first and other columns may be narrower than their content, but not than this
NUMBER = re.compile(r"[-+<±.,\d ]+")


def _unbroken(cell: str, whole: bool) -> int:
    """Width below which a cell would break inside a number or a word; ``whole``: names are to be copied, no break at
    all."""
    pieces = cell.split("\n") if whole or NUMBER.fullmatch(cell) else cell.split()
    return max(map(len, pieces), default=0)


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

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Numbers are never broken, words at spaces: columns for which the screen is too narrow are put in further
        tables below, each with the first column.
        """
        widths = [
            max(_unbroken(cell, number == 0) for cell in (name, *(row[number] for row in rows)))
            for number, name in enumerate(header)
        ]
        space = [min(width, NAME if number == 0 else TEXT) + 3 for number, width in enumerate(widths)]  # 3: its frame
        blocks = [[0]]
        for number in range(1, len(header)):
            if len(blocks[-1]) > 1 and 1 + sum(space[n] for n in blocks[-1]) + space[number] > self.rich.width:
                blocks.append([0])
            blocks[-1].append(number)
        for block in blocks:
            table = Table(title=title if block is blocks[0] else None, title_justify="left")
            for number in block:
                table.add_column(
                    header[number],
                    justify="right" if number and all(NUMBER.fullmatch(row[number] or "-") for row in rows) else "left",
                    overflow="fold",
                    min_width=space[number] - 3,
                )
            for row in rows:
                table.add_row(*(row[number] for number in block))
            self.rich.print(table)

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
