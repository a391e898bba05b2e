"""What a person sees of a study while it runs: trials by state, the best so far, what runs now, why trials failed,
the time that is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..runtime.console import Console

STATES = ("complete", "running", "pruned", "failed", "waiting")


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
class Board:
    """The driver reports what happens; :meth:`live` shows it in place on a terminal, and :meth:`line` in one line
    elsewhere."""

    study: str
    planned: int
    workers: int
    clock: Callable[[], float] = time.monotonic
    states: dict[int, str] = field(default_factory=dict)
    best: str = ""
    failures: dict[str, list[int]] = field(default_factory=dict)
    now: dict[int, tuple[float, str, str]] = field(default_factory=dict)  # trial -> (begun, values, last value)
    seconds: list[float] = field(default_factory=list)  # of the trials that ended here

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        self.states[number] = "running"
        self.now[number] = (self.clock(), values_text(params), "")

    def report(self, number: int, step: int, value: float) -> None:
        """A value of a trial that runs on."""
        begun, params, _ = self.now[number]
        self.now[number] = (begun, params, f"{value:.4f} after experience {step}")

    def end(self, number: int, state: str, problem: str | None) -> None:
        self.states[number] = state
        begun, _, _ = self.now.pop(number)
        self.seconds.append(self.clock() - begun)
        if problem:
            self.failures.setdefault(problem, []).append(number)

    def left(self) -> float | None:
        """Seconds to the end by the mean of the trials so far; None before the first has ended."""
        if not self.seconds:
            return None
        each = statistics.fmean(self.seconds)
        gone = sum(min(each, self.clock() - begun) for begun, _, _ in self.now.values())
        ended = sum(state not in ("running", "waiting") for state in self.states.values())
        return max(0.0, ((self.planned - ended) * each - gone) / self.workers)

    def counts(self) -> str:
        known = [*self.states.values(), *["waiting"] * (self.planned - len(self.states))]
        return ", ".join(f"{known.count(state)} {state}" for state in STATES if state in known)

    def line(self, number: int, how: str) -> str:
        """One trial's end and how things stand, for a pipe or a log."""
        left = self.left()
        text = f"trial {number}: {how}; of {self.planned}: {self.counts()}"
        text += f"; best {self.best}" if self.best else ""
        return text + (f"; about {duration(left)} left" if left else "")

    def __rich__(self) -> Group:
        left = self.left()
        head = Text(f"{self.study}: {self.counts()}" + (f"; about {duration(left)} left" if left is not None else ""))
        parts: list[Any] = [head]
        if self.best:
            parts.append(Text(f"best {self.best}", style="green"))
        if self.now:
            table = Table(box=None, pad_edge=False)
            for name in ("trial", "since", "so far", "values"):
                table.add_column(name, overflow="fold")
            for number, (begun, params, value) in sorted(self.now.items()):
                table.add_row(str(number), duration(self.clock() - begun), value, params)
            parts.append(table)
        for problem, numbers in self.failures.items():
            shown = ", ".join(str(n) for n in numbers[-5:])
            parts.append(Text(f"failed ({len(numbers)}; last: trial {shown}): {problem}", style="red"))
        return Group(*parts)

    @contextmanager
    def live(self, console: Console) -> Iterator[None]:
        """Draw in place, twice a second, where standard error is a terminal."""
        if console.quiet or not console.notes.is_terminal:
            yield
            return
        with Live(self, console=console.notes, refresh_per_second=2, transient=True):
            yield
