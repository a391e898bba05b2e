"""The journal of a run: every metric point, append-only, one JSON object a line. It is the truth that MLflow is fed
from.

A line is ``{"t": milliseconds, "name": str, "value": float | "nan" | "inf" | "-inf", "step": int, "axis":
"experience" | "iteration"}``. The time is taken once, here: a store that gets the same point twice with the same
time keeps one.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ..config.errors import Fault
from ..config.killpoints import reach
from .files import write_atomic

Axis = Literal["experience", "iteration"]
NOT_FINITE = ("nan", "inf", "-inf")
SENT = "journal.sent.jsonl"  # points cut off the journal that a store may hold
MEASURED = "cost/seconds"  # measurements of time: no resume can repeat them


class Journal:
    """Append points; :meth:`sync` makes them durable and tells the byte position that a checkpoint records.

    A point that a store may hold already (see :func:`cut`) is written as it was sent, time included: the store keeps
    one of two equal rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sent = {(p["name"], p["step"], p["axis"]): p for p in read(path.with_name(SENT))}
        self._file = path.open("ab")

    def append(self, name: str, value: float, step: int, axis: Axis) -> None:
        """Write one point. A non-finite value is written by its name."""
        number: float | str = value if math.isfinite(value) else repr(value)
        point = {"t": time.time_ns() // 1_000_000, "name": name, "value": number, "step": step, "axis": axis}
        sent = self._sent.pop((name, step, axis), None)
        if sent is not None and (sent["value"] == number or name.startswith(MEASURED)):
            point = sent
        line = json.dumps(point).encode() + b"\n"
        half = len(line) // 2
        self._file.write(line[:half])
        if os.environ.get("HOLDFAST_KILL_AT", "").startswith("journal_append"):
            self._file.flush()  # so that the test finds a torn line on the disk
            reach("journal_append")
        self._file.write(line[half:])

    def sync(self) -> int:
        """Flush to the disk; returns the length of the file in bytes. Raises Fault where the file was deleted or moved
        while it was written."""
        self._file.flush()
        if not (self.path.exists() and os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path))):
            what = "the folder of a run was deleted or moved while the run went on"
            raise Fault.run_failed(what, str(self.path.parent), "start it again, and leave its folder where it is")
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        try:
            self.sync()
        finally:
            self._file.close()


def cut(path: Path, position: int) -> None:
    """Shorten the journal to ``position`` bytes: what a checkpoint covers. Raises ValueError where it is shorter
    than that.

    Whole points behind the cut are set aside for :class:`Journal` to write again. Some store may hold them (``suites
    sync`` after an interrupt sends all there is, and which stores got them only they know for sure), so all of them
    keep their time.
    """
    size = path.stat().st_size if path.exists() else 0
    if size < position:
        raise ValueError(
            f"{path} holds {size} bytes, but its checkpoint covers {position}: the journal was changed by hand"
        )
    aside = path.with_name(SENT)
    if size > position:
        with path.open("rb") as file:
            file.seek(position)
            tail = file.read()
        write_atomic(aside, (aside.read_bytes() if aside.exists() else b"") + tail[: tail.rfind(b"\n") + 1])
    with path.open("ab") as file:
        file.truncate(position)


def forget_sent(path: Path) -> None:
    """Delete what :func:`cut` set aside beside a journal that nobody will write again."""
    path.with_name(SENT).unlink(missing_ok=True)


def point_of(line: bytes, path: Path) -> dict[str, Any]:
    """The point in a line of the journal ``path``. Raises Fault where it is none: the file was damaged."""
    try:
        point = json.loads(line)
        value, step = point["value"], point["step"]
        whole = type(step) is int and type(point["t"]) is int and isinstance(value, float | int | str)
        if whole and isinstance(point["name"], str) and (not isinstance(value, str) or value in NOT_FINITE):
            return {**point, "axis": str(point["axis"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    shown = line[:60].decode(errors="replace")
    next_step = f"put the file back as it was, or make the run anew: suites runs remove {path.parent}"
    raise Fault.data(f"{path.name} is damaged: this is no point: {shown!a}", str(path), next_step)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The complete points of a journal, in order; a torn last line is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield point_of(line, path)


def comparable(path: Path) -> list[tuple[str, Any, int, str]]:
    """The points without their times, and without measurements of time (``cost/seconds...``): what a resume must
    repeat."""
    return [(p["name"], p["value"], p["step"], p["axis"]) for p in read(path) if not p["name"].startswith(MEASURED)]
