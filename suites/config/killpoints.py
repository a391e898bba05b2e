"""Points where a test can end the process as ``kill -9`` would.

``HOLDFAST_KILL_AT=name`` or ``name:K`` (the K-th visit, from 1); ``HOLDFAST_STOP_AT`` asks there as Ctrl-C does, once.
Without the variables, :func:`reach` compares one cached value and returns.
"""

from __future__ import annotations

import functools
import os
import signal

_visits: dict[str, int] = {}


@functools.cache
def _target() -> tuple[str, int, int]:
    for variable, number in (("HOLDFAST_KILL_AT", signal.SIGKILL), ("HOLDFAST_STOP_AT", signal.SIGINT)):
        if point := os.environ.get(variable):
            name, _, count = point.partition(":")
            return name, int(count or 1), number
    return "", 1, 0


def reach(name: str) -> None:
    """Say that the point ``name`` is reached; the process gets the signal where the environment asks for it."""
    target, count, number = _target()
    if target != name:
        return
    _visits[name] = _visits.get(name, 0) + 1
    if _visits[name] == count:
        os.kill(os.getpid(), number)


def forget() -> None:
    """Count visits from zero and read the variables again: for tests that set them in a process that goes on."""
    _target.cache_clear()
    _visits.clear()
