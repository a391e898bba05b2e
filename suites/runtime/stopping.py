"""How a run ends before its time: on Ctrl-C, SIGTERM and SIGHUP, or by a sweep's pruner."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Stoppable(Protocol):
    """What looks at ``stop_signal`` between its steps."""

    stop_signal: int


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):  # noqa: N818 - a state, not an error
    """Ctrl-C, SIGTERM or SIGHUP (the terminal is closed) arrived and the state is saved."""


class Pruned(Exception):  # noqa: N818 - a state, not an error
    """A sweep stops the run after an experience; what it measured stays."""


@contextmanager
def stoppable(run: Stoppable) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP ask the run to save and stop; a second one is obeyed at once."""

    def ask(number: int, frame: Any) -> None:
        if run.stop_signal:
            raise KeyboardInterrupt
        run.stop_signal = number

    try:
        old = {number: signal.signal(number, ask) for number in SIGNALS}
    except ValueError:  # not the main thread: whoever owns it decides
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
