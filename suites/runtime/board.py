"""The board of a run or a sweep: what has ended, what runs now and where it stands, the time that is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from . import progress as progress_
from .progress import Progress

if TYPE_CHECKING:
    from .console import Console

STATES = ("finished", "complete", "running", "pruned", "interrupted", "failed", "waiting")


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def values_text(params: Mapping[str, Any]) -> str:
    """``lr=0.002, temperature=0.1``: the last word of every path."""
    return ", ".join(
        f"{path.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{path.rpartition('.')[2]}={value}"
        for path, value in params.items()
    )


@dataclass
class Job:
    """A run or trial that goes on: what it is called, when it began, and where it stands, here or in a folder."""

    name: str
    begun: float
    progress: Progress | None = None
    folder: Path | None = None
    note: str = ""
    seen: bool = False  # whether it has said where it stands

    def stand(self) -> Progress | None:
        """Where it stands; None before a worker has begun to write, and after the run's end."""
        if self.progress is None and self.folder is not None:
            found = progress_.read(self.folder)
            self.seen = self.seen or found is not None
            return found
        return self.progress


@dataclass
class Board:
    """Whoever drives says what begins and ends; :meth:`live` shows it in place on a terminal, :meth:`line` in one line
    elsewhere.

    ``title``: of the invocation or study; ``planned`` jobs on so many ``workers``, each a ``noun``.
    """

    title: str
    planned: int
    workers: int = 1
    noun: str = "run"
    clock: Callable[[], float] = time.monotonic
    states: dict[Any, str] = field(default_factory=dict)
    best: str = ""
    failures: dict[str, list[str]] = field(default_factory=dict)
    now: dict[Any, Job] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)  # of the jobs that ended here
    doing: str = ""  # what goes on beside the jobs

    def begin(self, key: Any, name: str = "", progress: Progress | None = None, folder: Path | None = None) -> None:
        self.states[key] = "running"
        self.now[key] = Job(name or f"{self.noun} {key}", self.clock(), progress, folder)

    def end(self, key: Any, state: str, problem: str | None = None) -> None:
        self.states[key] = state
        job = self.now.pop(key)
        if state != "waiting":  # one that is given again says nothing of the time
            self.seconds.append(self.clock() - job.begun)
        if problem:
            self.failures.setdefault(problem, []).append(job.name)

    def ended(self) -> int:
        """Jobs that will not run again."""
        return sum(state not in ("running", "waiting") for state in self.states.values())

    def left(self) -> float | None:
        """Seconds to the end of all: what running jobs say of themselves, for the rest the mean of those that ended, or
        the estimates of those that run. None while nothing is known."""
        now = self.clock()
        known = {}
        for key, job in list(self.now.items()):
            stand = job.stand()
            if stand is not None and stand.left is not None:
                known[key] = stand.left
        whole = self.seconds or [now - self.now[key].begun + left for key, left in known.items() if key in self.now]
        if not whole:
            return None
        each = statistics.fmean(whole)
        running = [known.get(key, max(0.0, each - (now - job.begun))) for key, job in list(self.now.items())]
        waiting = self.planned - self.ended() - len(running)
        return max([(waiting * each + sum(running)) / self.workers, *running, 0.0])

    def counts(self) -> str:
        known = [*self.states.values(), *["waiting"] * (self.planned - len(self.states))]
        return ", ".join(f"{known.count(state)} {state}" for state in STATES if state in known)

    def share(self) -> float:
        """Of all that is planned, what lies behind."""
        stands = [job.stand() for job in list(self.now.values())]
        return (self.ended() + sum(stand.share for stand in stands if stand is not None)) / max(1, self.planned)

    def _time(self) -> str:
        left = self.left()
        return f"; about {duration(left)} left" if left is not None and left >= 1 else ""

    def line(self, name: str, how: str) -> str:
        """One job's end and how things stand, for a pipe or a log."""
        best = f"; best {self.best}" if self.best else ""
        return f"{self.noun} {self.ended()} of {self.planned}: {name} {how}{best}{self._time()}"

    def __rich__(self) -> Group:
        number = min(self.planned, self.ended() + len(self.now))
        head = f"{self.title}: {self.noun} {number} of {self.planned}; {self.counts()}{self._time()}"
        parts: list[Any] = [Text(head, overflow="fold")]
        if self.best:
            parts.append(Text(f"best {self.best}", style="green", overflow="fold"))
        for job in list(self.now.values()):
            parts.append(Text.assemble((f"  {job.name}: ", "bold"), self._stand(job), overflow="fold"))
        for problem, names in list(self.failures.items()):
            parts.append(Text(f"failed ({len(names)}; last: {names[-1]}): {problem}", style="red", overflow="fold"))
        if self.doing:
            parts.append(Text(f"  {self.doing}", overflow="fold"))
        return Group(*parts)

    def _stand(self, job: Job) -> str:
        stand = job.stand()
        text = stand.text() if stand is not None else ""
        parts = [text or ("ends" if job.seen else "begins"), job.note, f"{duration(self.clock() - job.begun)} so far"]
        if stand is not None and stand.left is not None and stand.left >= 1:
            parts.append(f"about {duration(stand.left)} left")
        return "; ".join(part for part in parts if part)

    @contextmanager
    def live(self, console: Console) -> Iterator[None]:
        """Draw in place, twice a second, where standard error is a terminal that can."""
        if not console.lively:
            yield
            return
        with Live(self, console=console.notes, refresh_per_second=2, transient=True):
            yield


@contextmanager
def shown(board: Board, console: Console) -> Iterator[None]:
    """The board on the screen, and the one that runs of this process report to."""
    console.settle()
    before, console.board = console.board, board
    try:
        with board.live(console):
            yield
    finally:
        console.board = before


@contextmanager
def job(console: Console, name: str, progress: Progress, end: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """A run of this process on the console's board; ``end``: its state, and what it came to in words."""
    board = console.board
    if board is None:
        yield
        return
    board.begin(name, name, progress)
    try:
        yield
    finally:
        state, words = "failed", ""
        with suppress(Exception):  # the run's own error says more
            state, words = end()
        taken = board.clock() - board.now[name].begun
        board.end(name, state)
        console.note(board.line(name, f"{state} in {duration(taken)}{words}"))
