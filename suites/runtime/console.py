"""What a person sees while things run: one object, which also behaves in a pipe and in CI."""

from __future__ import annotations

import logging
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console as Rich
from rich.status import Status
from rich.table import Table
from rich.text import Text

from ..config.private import redact
from . import board
from .progress import Progress, written

SECONDS = 10  # between two lines of one task where there is no terminal
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


class Console:
    """Progress and lines, without secrets. With ``json`` everything goes to standard error, so that standard output
    holds one document alone."""

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        self.quiet = quiet  # in a worker: nothing is shown
        self.rich = Rich(stderr=json, highlight=False)
        self.notes = Rich(stderr=True, highlight=False)
        self.board: board.Board | None = None  # of the runs that go on
        self._waiting: Status | None = None

    def line(self, text: str) -> None:
        self.rich.print(redact(text), markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line beside the results, on standard error."""
        if not self.quiet:
            self.notes.print(redact(text), markup=False, soft_wrap=True)

    def warning(self, text: str) -> None:
        self.notes.print(redact(f"warning: {text}"), markup=False, soft_wrap=True)

    def paragraph(self, label: str, text: str) -> None:
        """Words after a label, wrapped below each other; words, and so paths, stay whole. A label of more than half
        of the line is no margin for what follows."""
        width = max(self.rich.width, 20)
        margin = len(label) if 2 * len(label) <= width else 4
        wrapped = textwrap.wrap(
            redact(text),
            width,
            initial_indent=label,
            subsequent_indent=" " * margin,
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

    @property
    def lively(self) -> bool:
        """Whether standard error is a terminal in which lines can be drawn anew."""
        return not self.quiet and self.notes.is_terminal and not self.notes.is_dumb_terminal

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say at once, on a terminal, that something begins; until the next task says more."""
        if self.lively:
            self._waiting = self.notes.status(Text(text))
            self._waiting.start()
        try:
            yield
        finally:
            self.settle()

    def settle(self) -> None:
        """Nothing is waited for any more."""
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """Say what is being done: in place on a terminal, elsewhere a line at once and one every few seconds; yields
        ``tick(done, total)``."""
        if self.board is not None:
            before, self.board.doing = self.board.doing, text
            try:
                yield lambda done, total: None
            finally:
                self.board.doing = before
            return
        self.settle()
        if self.lively:
            with self.notes.status(Text(text)) as status:
                yield lambda done, total: status.update(Text(f"{text}: {done} of {total}"))
            return
        self.note(text)
        last = time.monotonic()

        def tick(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= SECONDS:
                last = time.monotonic()
                self.note(f"{text}: {done} of {total}")

        yield tick

    def follow(
        self, folder: Path, progress: Progress, end: Callable[[], tuple[str, str]]
    ) -> AbstractContextManager[None]:
        """While a run of this process goes on in ``folder``: where it stands, for whoever looks; ``end``: how it ended,
        in words."""
        return board.job(self, folder.name, progress, end)


class Worker(Console):
    """Of a worker process: where its run stands goes into the run's folder, warnings to the driver with the answer."""

    def __init__(self) -> None:
        super().__init__(json=True, quiet=True)
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(redact(text))

    def follow(
        self, folder: Path, progress: Progress, end: Callable[[], tuple[str, str]]
    ) -> AbstractContextManager[None]:
        return written(progress, folder)


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
