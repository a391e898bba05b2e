"""An end in time for all requests of a thread: a store that is slow or dead holds nobody for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_now = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Inside, no request of this thread begins or goes on after ``seconds``, nor after the end of a block around
    it."""
    before = getattr(_now, "end", None)
    end = time.monotonic() + seconds
    _now.end = end if before is None else min(before, end)
    try:
        yield
    finally:
        _now.end = before


def over() -> bool:
    """Whether this thread's end has come."""
    seconds = left()
    return seconds is not None and seconds <= 0


def left() -> float | None:
    """Seconds to this thread's end, below 0 after it; None: there is none."""
    end = getattr(_now, "end", None)
    return None if end is None else float(end - time.monotonic())
