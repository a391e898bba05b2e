"""An end in time for all requests of a thread: a store that is slow or dead holds nobody for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LATE = 2  # answers that do not come in their time, then the end has come

_now = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Inside, no request of this thread begins or goes on after ``seconds``, nor after the end of a block around it,
    nor after ``LATE`` requests that waited in vain."""
    before = getattr(_now, "end", None)
    end = time.monotonic() + seconds
    if before is None:
        _now.late = 0
    _now.end = end if before is None else min(before, end)
    try:
        yield
    finally:
        _now.end = before


def waited() -> None:
    """A request of this thread waited for its answer in vain."""
    _now.late = getattr(_now, "late", 0) + 1


def over() -> bool:
    """Whether this thread's end has come."""
    seconds = left()
    return seconds is not None and seconds <= 0


def left() -> float | None:
    """Seconds to this thread's end, 0 or less after it; None: there is none."""
    end = getattr(_now, "end", None)
    if end is None:
        return None
    return 0.0 if getattr(_now, "late", 0) >= LATE else float(end - time.monotonic())
