"""Places where a test can end the process as ``kill -9`` would: ``HOLDFAST_KILL_AT=name`` or ``name:K`` (the K-th visit, from 1).

Without the variable, :func:`reach` compares one cached value and returns.
"""

from __future__ import annotations

import functools
import os
import signal

_visits: dict[str, int] = {}


@functools.cache
def _target() -> tuple[str, int]:
    name, _, count = os.environ.get("HOLDFAST_KILL_AT", "").partition(":")
    return name, int(count or 1)


def reach(name: str) -> None:
    """Tell that the point ``name`` is reached; SIGKILLs this process where the environment asks for it."""
    target, count = _target()
    if target != name:
        return
    _visits[name] = _visits.get(name, 0) + 1
    if _visits[name] >= count:
        os.kill(os.getpid(), signal.SIGKILL)
