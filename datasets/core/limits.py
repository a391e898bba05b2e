"""The most memory that one input may take (``data.max_gib``): sizes are estimated from headers, before anything is
allocated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import DataError

GIB, MIB = 2**30, 2**20
UNKNOWN = 8 * GIB  # bytes of memory of a machine that does not say how many it has

_chosen: ContextVar[int | None] = ContextVar("limit", default=None)


@contextmanager
def using(gib: float | None) -> Iterator[None]:
    """Inside, one input may take so many GiB; None: half of the machine's memory."""
    token = _chosen.set(None if gib is None else int(gib * GIB))
    try:
        yield
    finally:
        _chosen.reset(token)


def largest() -> int:
    """Bytes that one input may take."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        machine = UNKNOWN
    return machine // 2


def excess(size: int) -> str:
    """That ``size`` bytes are more than one input may take, in words; empty where they are not."""
    if size <= largest():
        return ""
    return f"about {in_words(size)} of memory, and data.max_gib allows {in_words(largest())}"


def in_words(size: float) -> str:
    """Bytes as a person says them: ``12.5 GiB``, below one ``768 MiB``, below a thousandth of that ``3 bytes``."""
    if size < MIB / 1000:
        return f"{size:,.0f} bytes"
    value, unit = (size / GIB, "GiB") if size >= GIB else (size / MIB, "MiB")
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def require(size: int, what: str) -> None:
    """Raise DataError where ``what`` would take ``size`` bytes, which are more than one input may."""
    problem = excess(size)
    if problem:
        raise DataError(f"{what}: {problem}")
