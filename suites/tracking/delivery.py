"""MLflow, fed from the journal by its own thread: training never waits for it, and what is not delivered stays for
``suites sync``."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.errors import Fault
from ..config.private import complete, stored
from . import deadline
from . import state as tracker
from .files import remove_parts, write_atomic
from .journal import read
from .sender import RunIdentity, Sender
from .store import SQLITE, DeletedError, problem_of, to_store

LOCAL = 25.0  # seconds more that the end of a run waits for a SQLite file
DEAD = 0.5  # seconds that the end of a run waits for a store that took nothing at the end of one before
PATIENCE = 20.0  # seconds that the store waits for the first step (a large model's may take longer)
ATTEMPTS = 5  # of ``sync`` at a run, where the connection breaks and none of them brings it further
ENDS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "pruned": "KILLED"}
FILES = ("recipe.yaml", "environment.json", "matrix.csv", "summary.json", "plots")  # of a run's folder, for its page


_dead: set[str] = set()  # stores that took nothing of a run of this process when it ended


@dataclass(frozen=True)
class Outcome:
    """How a delivery ended: ``undelivered`` points stay for ``suites sync``."""

    run_id: str | None
    delivered: int
    undelivered: int
    problem: str | None
    warning: str | None = None


class Delivery:
    """The thread of one run. None of its methods waits for the store but :meth:`finish`, and that for a time."""

    def __init__(self, folder: Path, identity: RunIdentity, uri: str) -> None:
        identity = _as_begun(folder, identity)
        document = {**identity.public().model_dump(), "uri": stored(uri)}
        write_atomic(folder / "identity.json", json.dumps(document).encode())
        self._sender = Sender(folder, identity, uri)
        self._sender.state["ended"] = None
        self._covered, self._status = 0, ""
        self._how = ""
        self._wake, self._done, self._begun = threading.Condition(), threading.Event(), threading.Event()
        self._problem: str | None = None
        self._left = False  # what is not delivered now waits for ``suites sync``
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def run_id(self) -> str | None:
        """The run's id in the store, once that is known."""
        run_id = self._sender.state["run_id"]
        return None if run_id is None else str(run_id)

    def begin(self) -> None:
        """The run has made its first step: MLflow may be imported, which would hold that up."""
        self._begun.set()

    def rewind(self, position: int) -> None:
        """Start at ``position`` again where delivery had come further, to any store: the journal was cut there.
        Before the first :meth:`cover`."""
        tracker.rewind(self._sender.folder, position)
        self._sender.state["delivered"] = min(self._sender.state["delivered"], position)

    def cover(self, offset: int) -> None:
        """Points up to this byte of the journal may be delivered: a checkpoint covers them."""
        with self._wake:
            self._covered = offset
            self._wake.notify()

    def abandon(self) -> None:
        """Send nothing: the run was refused before it began."""
        self.begin()
        with self._wake:
            self._left = True
            self._wake.notify()

    def _work(self) -> None:
        delay = 0.2
        self._begun.wait(PATIENCE)
        while True:
            with self._wake:
                while not self._status and self._sender.state["delivered"] >= self._covered:
                    if self._left:
                        return
                    self._wake.wait()
                covered, status = self._covered, self._status
            try:
                if status:
                    folder = self._sender.folder
                    self._sender.finish(covered, status, self._how, [folder / name for name in FILES])
                    self._problem = None
                    self._done.set()
                    return
                while self._sender.send(covered):
                    pass
                self._problem, delay = None, 0.2
            except Exception as error:  # whatever the store or the network does must not reach training
                self._problem = problem_of(error)
                self._sender.reset(error)
                with self._wake:
                    if self._left:  # nobody waits any more: a thread a run would ask a dead server for ever
                        return
                    self._wake.wait(delay)
                delay = min(10.0, 2 * delay)

    def finish(self, status: str, how: str = "", timeout: float = 5.0) -> Outcome:
        """Tell the store how the run ended; waits at most ``timeout`` seconds for what is left, for a file of ours
        that works ``LOCAL``, and hardly for a store that took nothing of the run before."""
        self.begin()
        if self._sender.uri in _dead:
            timeout = min(timeout, DEAD)
        with self._wake:
            self._status, self._how = status, how
            self._wake.notify()
        if not self._done.wait(timeout) and self._problem is None and self._sender.uri.startswith(SQLITE):
            self._done.wait(LOCAL)  # its tables are being made: on a busy machine that outlasts a run of seconds
        problem = self._problem or "the store is slow"
        with self._wake:
            self._left = True
            self._wake.notify()
        if self._done.is_set():
            _dead.discard(self._sender.uri)
        elif self._problem:
            _dead.add(self._sender.uri)
        return Outcome(
            self.run_id,
            self._sender.state["delivered"],
            self._sender.left(self._covered),
            None if self._done.is_set() else problem,
            self._sender.warning,
        )


def _as_begun(folder: Path, identity: RunIdentity) -> RunIdentity:
    """With the names in MLflow that the run began with: a later version's would double its points."""
    try:
        begun, _ = RunIdentity.of_folder(folder)
    except Fault:
        return identity
    return identity.model_copy(update={"shown": begun.shown}) if begun.run_uid == identity.run_uid else identity


def sync(path: Path, tracking_uri: str | None = None) -> dict[str, Any]:
    """Deliver what is left of every run below ``path`` that no process writes; returns counts and what went wrong.

    A run that the store does not have any more is made again and delivered whole.
    """
    rows = []
    given = to_store(tracking_uri) if tracking_uri else None
    remove_parts(path)
    for file in sorted(path.resolve().rglob("identity.json")):
        folder = file.parent
        remove_parts(folder)
        try:
            identity, own = RunIdentity.of_folder(folder)
            sender = Sender(folder, identity, given or own)
            status = run_files.read(folder / "run.json", run_files.RunState)["status"]
            list(read(sender.journal))
        except Fault as fault:  # a damaged run hides no other
            facts = {"mlflow_run_id": None, "undelivered": 0, "problem": fault.what, "warning": None}
            rows.append({"folder": str(folder), **facts})
            continue
        stop = sender.journal.stat().st_size if status in ENDS and sender.journal.exists() else 0
        problem = _finish(sender, stop, status) if status in ENDS else None
        rows.append(
            {
                "folder": str(folder),
                "mlflow_run_id": sender.state["run_id"],
                "undelivered": sender.left(stop),
                "problem": problem,
                "warning": sender.warning,
            }
        )
    return {"runs": rows, "undelivered": sum(row["undelivered"] for row in rows)}


def _finish(sender: Sender, stop: int, status: str) -> str | None:
    """Deliver a run that has ended, in attempts as long as one in ``ATTEMPTS`` brings it further and there is time;
    what went wrong in the last one."""
    problem, attempt, held = None, 0, ""
    while attempt < ATTEMPTS and (not attempt or not deadline.over()):
        try:
            sender.finish(stop, ENDS[status], status, [sender.folder / name for name in FILES])
            return None
        except DeletedError as error:  # no further attempt changes that; delivered whole, it is its owner's own wish
            whole = sender.state["ended"] == ENDS[status] and not sender.left(stop)
            return None if whole else problem_of(error)
        except Exception as error:
            problem = problem_of(error)
            sender.reset(error)
            now = json.dumps(sender.state)
            attempt, held = (attempt + 1 if now == held else 1), now
            time.sleep(0.05 * 2**attempt if attempt < ATTEMPTS else 0)
    return problem


def compare_store(folder: Path, database: Path | None = None, uri: str | None = None) -> list[str]:
    """Differences between a run's journal and the rows of a SQLite store, as multisets of (name, value, step, time).

    ``uri``: the store that is meant, by default the last one that the run was delivered to; ``database``: the file
        behind it where it
    is a server.
    """
    import sqlite3
    from collections import Counter

    known, last = tracker.states(folder)
    address = stored(uri) if uri else str(last)
    with sqlite3.connect(database or complete(address).removeprefix(SQLITE)) as connection:
        rows = connection.execute(
            "select key, value, step, timestamp from metrics where run_uuid = ?", (known[address]["run_id"],)
        ).fetchall()
    sender = Sender(folder, RunIdentity.of_folder(folder)[0], address)
    journal = Counter(
        (to[0], float(p["value"]), to[1], p["t"])
        for p in read(folder / "journal.jsonl")
        if math.isfinite(float(p["value"])) and (to := sender.shown.point(p)) is not None
    )
    journal.update((name, value, step, t) for name, value, t, step in sender.rows())
    store = Counter((name, float(value), step, t) for name, value, step, t in rows)
    return [
        *(f"{n}x {row} only in the journal" for row, n in (journal - store).items()),
        *(f"{n}x {row} only in the store" for row, n in (store - journal).items()),
    ]
