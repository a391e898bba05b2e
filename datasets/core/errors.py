"""Faults of data."""

from __future__ import annotations

from collections.abc import Sequence


class DataError(Exception):
    """Data that is missing, broken or not what its reader expects; the message says what and where."""


SHOWN = 10  # faults in a message; ``suites data check`` lists all


def refuse(what: str, faults: Sequence[str]) -> None:
    """Raise DataError with the first of ``faults`` in ``what``; nothing where there is none."""
    if faults:
        more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DataError(f"{what}: {count}\n  " + "\n  ".join(faults[:SHOWN]) + more)
