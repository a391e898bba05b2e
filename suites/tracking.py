"""MLflow, fed from the journal by its own thread: training never waits for it, and what is not delivered stays for ``suites sync``."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import logging
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoints import write_atomic
from .killpoints import reach

BATCH = 900  # points a request; MLflow takes 1000
LOCAL = 25.0  # seconds more that the end of a run waits for a SQLite file
ATTEMPTS = 5  # of ``sync`` at a run, where the connection breaks
UID, INVOCATION = "holdfast.run_uid", "holdfast.invocation_uid"


def default_uri(out: Path) -> str:
    """A SQLite file beside the runs, as an absolute URI."""
    return f"sqlite:///{out.resolve() / 'mlflow.db'}"


def resolve_uri(out: Path, given: str | None) -> str:
    """The option, else MLFLOW_TRACKING_URI, else :func:`default_uri`."""
    return given or os.environ.get("MLFLOW_TRACKING_URI") or default_uri(out)


@dataclass(frozen=True)
class RunIdentity:
    """What MLflow is told of a run besides its points."""

    run_uid: str
    suite: str
    invocation_uid: str
    method: str
    seed: int
    params: dict[str, str]
    tags: dict[str, str]
    dataset: dict[str, str]
    name: str = ""  # by default <method>-s<seed>
    parent_name: str = ""  # by default the folder of the invocation


@dataclass(frozen=True)
class Outcome:
    """How a delivery ended: ``undelivered`` points stay for ``suites sync``."""

    run_id: str | None
    delivered: int
    undelivered: int
    problem: str | None


def _points(path: Path, start: int, stop: int) -> tuple[list[dict[str, Any]], int]:
    """The complete points between two byte positions, at most :data:`BATCH`, and the position after them."""
    found: list[dict[str, Any]] = []
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and len(found) < BATCH:
            line = file.readline()
            if not line.endswith(b"\n") or start + len(line) > stop:
                break
            start += len(line)
            found.append(json.loads(line))
    return found, start


def _make_store(database: Path) -> None:
    """Make MLflow's SQLite store beside its place and rename it: a process that dies meanwhile leaves no half-made tables."""
    client = _client_class()
    for stale in database.parent.glob(f".{database.name}.*.part*"):
        stale.unlink()
    part = database.with_name(f".{database.name}.{os.getpid()}.part")
    client(tracking_uri=f"sqlite:///{part}").search_experiments()
    os.replace(part, database)


def _client_class() -> Any:
    """MLflow's client, imported with the settings that a run needs."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # No retries below us: a repeated "create run" whose answer was lost would make a second run; we look for the first one.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # standard output is ours: --json
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient


@contextmanager
def _database(uri: str) -> Iterator[None]:
    """The SQLite file of ``uri``, made where it is missing, under a lock: two processes may come at once."""
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with (database.parent / f".{database.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            _make_store(database)
        yield


def make_local_store(uri: str) -> None:
    """Make the tables of a SQLite store ahead of its first run; nothing for another kind of store."""
    _client_class()
    if uri.startswith("sqlite:///"):
        with _database(uri):
            pass


class Sender:
    """Sends one run folder's points to one store; used by the thread and by ``sync``. Any failure is an exception of its caller's."""

    def __init__(self, folder: Path, identity: RunIdentity, uri: str) -> None:
        self.folder, self.identity, self.uri = folder, identity, uri
        self.state: dict[str, Any] = {
            "uri": uri,
            "run_id": None,
            "delivered": 0,
            "artifacts": [],
            "ended": None,
            "inputs": False,
        }
        known = known_state(folder)
        if known.get("uri") == uri:
            self.state |= known
        self._client: Any = None
        self._found: dict[str, str] = {}  # what the store answered: a lost connection later does not ask again

    def save(self) -> None:
        write_atomic(self.folder / "tracker.json", json.dumps(self.state).encode())

    def client(self) -> Any:
        """The client, with the run found or made. SQLite stores are made under a file lock: two processes may come at once."""
        if self._client is not None:
            return self._client
        MlflowClient = _client_class()  # noqa: N806
        if not self.uri.startswith("sqlite:///"):
            client = MlflowClient(tracking_uri=self.uri)
            self._find(client)
        else:
            with _database(self.uri):
                client = MlflowClient(tracking_uri=self.uri)
                self._find(client)
        self._client = client
        return client

    def _find(self, client: Any) -> None:
        """The run by its tag, made only where there is none; its parent likewise."""
        identity, found = self.identity, self._found
        if "experiment" not in found:
            experiment = client.get_experiment_by_name(identity.suite)
            if experiment is not None:
                found["experiment"] = experiment.experiment_id
            else:
                location = None
                if self.uri.startswith("sqlite:///"):
                    location = (Path(self.uri.removeprefix("sqlite:///")).parent / "mlartifacts").as_uri()
                found["experiment"] = client.create_experiment(identity.suite, artifact_location=location)
        number = found["experiment"]
        if self.state["run_id"] is None:
            mine = client.search_runs([number], f"tags.`{UID}` = '{identity.run_uid}'", max_results=1)
            if mine:
                self.state["run_id"] = mine[0].info.run_id
            else:
                tags = {
                    UID: identity.run_uid,
                    INVOCATION: identity.invocation_uid,
                    "mlflow.parentRunId": self._parent(client, number),
                    **identity.tags,
                }
                run = client.create_run(
                    number, run_name=identity.name or f"{identity.method}-s{identity.seed}", tags=tags
                )
                self.state["run_id"] = run.info.run_id
            self.save()
        if not self.state["inputs"]:
            from mlflow.entities import Dataset, DatasetInput, Param

            run_id = self.state["run_id"]
            known = client.get_run(run_id).data.params
            params = [Param(k, v[:6000]) for k, v in identity.params.items() if k not in known]
            for start in range(0, len(params), 100):
                client.log_batch(run_id, params=params[start : start + 100])
            d = identity.dataset
            client.log_inputs(run_id, [DatasetInput(Dataset(d["name"], d["digest"][:36], d["source"], d["source"]))])
            self.state["inputs"] = True
            self.save()

    def _parent(self, client: Any, number: str) -> str:
        """The invocation's run, found by its tag or made."""
        found, identity = self._found, self.identity
        if "parent" in found:
            return found["parent"]
        # one process of this machine at a time: trials of a study come from several
        name = hashlib.sha256(f"{self.uri}/{identity.invocation_uid}".encode()).hexdigest()[:24]
        with (Path(tempfile.gettempdir()) / f"holdfast-{os.getuid()}-{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            where = f"tags.`{INVOCATION}` = '{identity.invocation_uid}' and tags.`holdfast.role` = 'invocation'"
            parents = client.search_runs([number], where, max_results=1)
            if not parents:
                tags = {INVOCATION: identity.invocation_uid, "holdfast.role": "invocation"}
                parents = [
                    client.create_run(number, run_name=identity.parent_name or self.folder.parent.name, tags=tags)
                ]
            found["parent"], status = parents[0].info.run_id, parents[0].info.status
            if status != "FINISHED":
                client.set_terminated(found["parent"], "FINISHED")
        return str(found["parent"])

    def send(self, stop: int) -> bool:
        """One batch of points up to byte ``stop``; False where all are delivered. A repeated batch changes nothing: the store
        ignores rows that it holds."""
        start = self.state["delivered"]
        if start >= stop:
            return False
        client = self.client()
        from mlflow.entities import Metric, RunTag

        points, after = _points(self.folder / "journal.jsonl", start, stop)
        if after == start:
            return False
        metrics = [Metric(p["name"], p["value"], p["t"], p["step"]) for p in points if not isinstance(p["value"], str)]
        tags = [
            RunTag(f"holdfast.nonfinite.{p['name'].replace('/', '.')}", f"{p['value']} at {p['step']}")
            for p in points
            if isinstance(p["value"], str)
        ]
        client.log_batch(self.state["run_id"], metrics=metrics, tags=tags)
        reach("mlflow_flush")
        self.state["delivered"] = after
        self.save()
        return after < stop

    def send_artifacts(self, paths: list[Path]) -> None:
        for path in paths:
            name = path.name
            if name in self.state["artifacts"] or not path.exists():
                continue
            client = self.client()
            if path.is_dir():
                client.log_artifacts(self.state["run_id"], str(path), artifact_path=name)
            else:
                client.log_artifact(self.state["run_id"], str(path))
            self.state["artifacts"].append(name)
            self.save()

    def end(self, status: str, how: str = "") -> None:
        if self.state["ended"] != status:
            if how == "pruned":
                self.client().set_tag(self.state["run_id"], "holdfast.state", how)
            self.client().set_terminated(self.state["run_id"], status)
            self.state["ended"] = status
            self.save()


def known_state(folder: Path) -> dict[str, Any]:
    """What ``tracker.json`` tells of the delivery; nothing where it is missing or damaged (the run is then found by its tag, and
    a point sent twice is one row)."""
    try:
        state = json.loads((folder / "tracker.json").read_text())
        return state if isinstance(state, dict) and isinstance(state.get("delivered"), int) else {}
    except (OSError, ValueError):
        return {}


class Delivery:
    """The thread of one run. None of its methods waits for the store but :meth:`finish`, and that for a time."""

    def __init__(self, folder: Path, identity: RunIdentity, uri: str) -> None:
        write_atomic(folder / "identity.json", json.dumps({**dataclasses.asdict(identity), "uri": uri}).encode())
        self._sender = Sender(folder, identity, uri)
        self._sender.state["ended"] = None
        self._covered, self._paths, self._status = 0, [], ""  # type: tuple[int, list[Path], str]
        self._how = ""
        self._wake, self._done = threading.Condition(), threading.Event()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def sent(self) -> int:
        """The byte of the journal up to which the store holds the points."""
        return int(self._sender.state["delivered"])

    def rewind(self, position: int) -> None:
        """Start at ``position`` again where delivery had come further: the journal was cut there. Before the first :meth:`cover`."""
        if self.sent > position:
            self._sender.state["delivered"] = position
            self._sender.save()

    def cover(self, offset: int) -> None:
        """Points up to this byte of the journal may be delivered: a checkpoint covers them."""
        with self._wake:
            self._covered = offset
            self._wake.notify()

    def artifacts(self, paths: list[Path]) -> None:
        """Files and folders to store at the end."""
        self._paths = paths

    def _work(self) -> None:
        delay = 0.2
        while True:
            with self._wake:
                while not self._status and self._sender.state["delivered"] >= self._covered:
                    self._wake.wait()
                covered, status = self._covered, self._status
            try:
                while self._sender.send(covered):
                    pass
                if status:
                    self._sender.send_artifacts(self._paths)
                    self._sender.end(status, self._how)
                    self._problem = None
                    self._done.set()
                    return
                self._problem, delay = None, 0.2
            except Exception as error:  # whatever the store or the network does must not reach training
                self._problem = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
                self._sender._client = None
                with self._wake:
                    self._wake.wait(delay)
                delay = min(10.0, 2 * delay)

    def finish(self, status: str, how: str = "", timeout: float = 5.0) -> Outcome:
        """Tell the store how the run ended; waits at most ``timeout`` seconds for what is left, for a file of ours that works ``LOCAL``."""
        with self._wake:
            self._status, self._how = status, how
            self._wake.notify()
        if not self._done.wait(timeout) and self._problem is None and self._sender.uri.startswith("sqlite:///"):
            self._done.wait(LOCAL)  # its tables are being made: on a busy machine that outlasts a run of seconds
        state = self._sender.state
        left = sum(1 for _ in _lines(self._sender.folder / "journal.jsonl", state["delivered"], self._covered))
        problem = self._problem if self._done.is_set() or self._problem else "the store is slow"
        return Outcome(state["run_id"], state["delivered"], left, None if self._done.is_set() else problem)


def _lines(path: Path, start: int, stop: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while path.exists() and start < stop:
        points, after = _points(path, start, stop)
        if after == start:
            break
        found, start = found + points, after
    return found


def sync(path: Path, tracking_uri: str | None = None, deadline: float = 600.0) -> dict[str, Any]:
    """Deliver what is left of every run below ``path`` that no process writes; returns counts and what went wrong."""
    names = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "pruned": "KILLED"}
    rows, end = [], time.monotonic() + deadline
    for file in sorted(path.resolve().rglob("identity.json")):
        folder = file.parent
        document = json.loads(file.read_text())
        uri = tracking_uri or document.pop("uri")
        document.pop("uri", None)
        sender = Sender(folder, RunIdentity(**document), uri)
        status = json.loads((folder / "run.json").read_text())["status"]
        journal = folder / "journal.jsonl"
        stop = journal.stat().st_size if status in names and journal.exists() else 0
        problem: str | None = None
        for attempt in range(ATTEMPTS):
            try:
                while sender.send(stop) and time.monotonic() < end:
                    pass
                if status in names:
                    wanted = ("recipe.yaml", "environment.json", "matrix.csv", "summary.json", "plots")
                    sender.send_artifacts([folder / name for name in wanted])
                    sender.end(names[status], status)
                problem = None
                break
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
                time.sleep(0.1 * 2**attempt if attempt < ATTEMPTS - 1 else 0)
        left = len(_lines(journal, sender.state["delivered"], stop))
        rows.append(
            {"folder": str(folder), "mlflow_run_id": sender.state["run_id"], "undelivered": left, "problem": problem}
        )
    return {"runs": rows, "undelivered": sum(row["undelivered"] for row in rows)}


def study_summary(
    uri: str, suite: str, uid: str, name: str, values: dict[str, float], params: dict[str, str], paths: list[Path]
) -> str | None:
    """Values, parameters and files of a study on its own run, the parent of its trials; what went wrong, or None."""
    identity = RunIdentity(
        run_uid="", suite=suite, invocation_uid=uid, method="", seed=0, params={}, tags={}, dataset={}, parent_name=name
    )
    try:
        sender = Sender(Path(paths[0]).parent, identity, uri)
        sender.state["run_id"], sender.state["inputs"] = "none", True  # only the parent is wanted
        client = sender.client()
        parent = sender._parent(client, sender._found["experiment"])
        known = client.get_run(parent).data
        for key, text in params.items():
            if key not in known.params:
                client.log_param(parent, key, text)
        for key, value in values.items():
            if known.metrics.get(key) != value:
                client.log_metric(parent, key, value)
        client.set_tag(parent, "holdfast.study", name)
        for path in paths:
            if path.is_dir():
                client.log_artifacts(parent, str(path), artifact_path=path.name)
            else:
                client.log_artifact(parent, str(path))
        client.set_terminated(parent, "FINISHED")
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    return None


def compare_store(folder: Path, database: Path | None = None) -> list[str]:
    """Differences between a run's journal and the rows of its SQLite store, as multisets of (name, value, step, time).

    ``database`` is the file behind a tracking server; by default the run's own store.
    """
    import sqlite3
    from collections import Counter

    from .journal import read

    state = json.loads((folder / "tracker.json").read_text())
    with sqlite3.connect(database or state["uri"].removeprefix("sqlite:///")) as connection:
        rows = connection.execute(
            "select key, value, step, timestamp from metrics where run_uuid = ?", (state["run_id"],)
        ).fetchall()
    journal = Counter(
        (p["name"], float(p["value"]), p["step"], p["t"])
        for p in read(folder / "journal.jsonl")
        if math.isfinite(float(p["value"]))
    )
    store = Counter((name, float(value), step, t) for name, value, step, t in rows)
    return [f"{n}x {row} only in the journal" for row, n in (journal - store).items()] + [f"{n}x {row} only in the store" for row, n in (store - journal).items()]  # fmt: skip
