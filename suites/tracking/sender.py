"""One run's points, parameters and files to one MLflow store; used by the run's thread and by ``suites sync``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from ..config import run_files
from ..config.errors import Fault
from ..config.killpoints import reach
from ..config.private import complete, stored, written
from . import deadline, matrix
from . import state as tracker
from .files import alone
from .journal import point_of, read
from .shown import VIEW, Row, Shown
from .store import SQLITE, DeletedError, StoreError, client_class, identifier, is_gone, opened

BATCH = 900  # points a request; MLflow takes 1000
UID, INVOCATION = "holdfast.run_uid", "holdfast.invocation_uid"
NOTE = "mlflow.note.content"


class RunIdentity(run_files.RunFacts):
    """What MLflow gets of a run besides its points; what else ``identity.json`` holds is no part of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def of_folder(cls, folder: Path) -> tuple[RunIdentity, str]:
        """What ``identity.json`` of a run holds, and the address of its store. Raises Fault where it is damaged."""
        document = run_files.read(folder / "identity.json", run_files.Identity)
        return cls.model_validate(document), str(document["uri"])

    def public(self) -> RunIdentity:
        """As it may leave the machine: no passwords, no home."""
        return RunIdentity(**written(self.model_dump()))


def points_between(path: Path, start: int, stop: int, most: int = BATCH) -> tuple[list[dict[str, Any]], int]:
    """The complete points of a journal between two byte positions, at most ``most``, and the position after them."""
    points: list[dict[str, Any]] = []
    if not path.exists():
        return points, start
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and len(points) < most:
            line = file.readline()
            if not line.endswith(b"\n") or start + len(line) > stop:
                break
            start += len(line)
            points.append(point_of(line, path))
    return points, start


class Sender:
    """Sends one run folder to one store. Any failure is an exception of its caller's; what was sent is kept for each
    store."""

    def __init__(self, folder: Path, identity: RunIdentity, uri: str) -> None:
        self.folder, self.identity, self.uri = folder, identity.public(), complete(uri)
        self.state = tracker.state_of(folder, uri)
        self.shown = Shown.of(self.identity.shown)
        self.warning: str | None = None  # what this store cannot take, where all else is delivered
        self._client: Any = None
        self._ids: dict[str, str] = {}  # what the store answered: a lost connection later does not ask again

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def save(self) -> None:
        tracker.save(self.folder, self.uri, self.state)

    def left(self, stop: int) -> int:
        """How many points up to byte ``stop`` the store does not hold."""
        return len(points_between(self.journal, self.state["delivered"], stop, most=2**62)[0])

    def reset(self, error: Exception) -> None:
        """After a failure: a file is opened anew, and a run that the store does not have is asked for again."""
        if is_gone(error):
            self._ids.clear()
        if is_gone(error) or self.uri.startswith(SQLITE):
            self._client = None

    def client(self) -> Any:
        """The client, with the run found, or made where the store has none (or has it no more).

        SQLite stores are made under a file lock: two processes may come at once.
        """
        if self._client is None:
            make = client_class()
            with opened(self.uri):
                client = make(tracking_uri=self.uri)
                self._find(client)
            self._client = client
        return self._client

    def parent(self) -> tuple[Any, str]:
        """The client and the id of the invocation's (or study's) own run, found or made; the run itself is not asked
        for."""
        make = client_class()
        with opened(self.uri):
            client = make(tracking_uri=self.uri)
            return client, self._parent(client, self._experiment(client))

    def _find(self, client: Any) -> None:
        """The run by its id or its tag, made only where there is none; its parameters and data where they are
        missing."""
        identity = self.identity
        if self.state["run_id"] is not None:
            self._confirm(client)
        if self.state["run_id"] is None:
            from mlflow.entities import ViewType

            number = self._experiment(client)
            mine = client.search_runs([number], f"tags.`{UID}` = '{identity.run_uid}'", ViewType.ALL, max_results=1)
            if mine:
                self.state["run_id"] = identifier(mine[0].info.run_id, "run id")
                self._confirm(client)
            else:
                tags = {
                    UID: identity.run_uid,
                    INVOCATION: identity.invocation_uid,
                    "mlflow.parentRunId": self._parent(client, number),
                    **identity.tags,
                    **({NOTE: identity.note} if identity.note else {}),
                }
                name = identity.name or f"{identity.method}-s{identity.seed}"
                run = client.create_run(number, start_time=identity.started, run_name=name, tags=tags)
                self.state["run_id"] = identifier(run.info.run_id, "run id")
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

    def _confirm(self, client: Any) -> None:
        """The store still has the run and what it was sent of it; else everything is sent again. Raises DeletedError
        for one in the bin."""
        run_id = self.state["run_id"]
        try:
            run = client.get_run(run_id)
        except Exception as error:
            if not is_gone(error):
                raise
            self.state = tracker.new_state()
            self._ids.clear()
            self.save()
            return
        if identifier(run.info.run_id, "run id") != run_id:
            raise StoreError("the store answers with another run than it was asked for")
        if run.info.lifecycle_stage == "deleted":
            raise DeletedError(
                f"the run {run_id} is deleted in MLflow: restore it (or its experiment) there, "
                "or delete it for good (mlflow gc) and it is made again"
            )
        if self.state["delivered"]:
            whole = self.rows()
            held = {m.key: (m.step, m.timestamp) for m in run.data.to_proto().metrics}
            sent: dict[str, tuple[int, int]] = {}
            for name, _, t, step in whole:
                sent[name] = max(sent.get(name, (-1, -1)), (step, t))
            for p in points_between(self.journal, 0, self.state["delivered"], most=2**62)[0]:
                sent_as = self.shown.point(p)
                if sent_as is not None and not isinstance(p["value"], str):
                    name, step = sent_as
                    sent[name] = max(sent.get(name, (-1, -1)), (step, p["t"]))
            if any(held.get(name, (-1, -1)) < last for name, last in sent.items()):  # an older copy of the store
                self.state = {**tracker.new_state(), "run_id": run_id}
                self.save()

    def _best(self, there: bool = True) -> list[Row]:
        return self.shown.best(read(self.journal)) if there else []

    def _cells(self, there: bool = True) -> list[Row]:
        """The matrix as points of the run (see :mod:`.matrix`)."""
        datasets = self.identity.matrix if there else None
        if datasets is None:
            return []
        measured = matrix.cells(self.shown, read(self.journal))
        return [cell.row for cell in measured if cell.on is not None]  # the others are the curve's points again

    def rows(self) -> list[Row]:
        """What the store holds besides points of the journal: made of the whole of it, at the run's end."""
        return [*self._best(self.state["best"]), *self._cells(self.state["matrix"])]

    def _experiment(self, client: Any) -> str:
        """The suite's experiment, found by its name or made. Raises DeletedError for one in the bin."""
        name = self.identity.suite
        if "experiment" not in self._ids:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                location = None
                if self.uri.startswith(SQLITE):
                    location = (Path(self.uri.removeprefix(SQLITE)).parent / "mlartifacts").as_uri()
                experiment_id = client.create_experiment(name, artifact_location=location)
                if self.identity.experiment_note:
                    client.set_experiment_tag(experiment_id, NOTE, self.identity.experiment_note)
            else:
                experiment_id = identifier(experiment.experiment_id, "experiment id")
                if experiment.lifecycle_stage == "deleted":
                    restore = f"mlflow experiments restore --experiment-id {experiment_id}"
                    what = f"the experiment '{name}' is deleted in MLflow"
                    raise DeletedError(f"{what}: restore it ({restore}) or delete it for good (mlflow gc)")
            self._ids["experiment"] = identifier(experiment_id, "experiment id")
            key = f"mlflow.sharedViewState.{VIEW}"
            if self.identity.view and (experiment is None or experiment.tags.get(key) != self.identity.view):
                client.set_experiment_tag(experiment_id, key, self.identity.view)
        return self._ids["experiment"]

    def _parent(self, client: Any, number: str) -> str:
        """The invocation's run, found by its tag or made."""
        ids, identity = self._ids, self.identity
        if "parent" in ids:
            return ids["parent"]
        # one process of this machine at a time: trials of a study come from several
        name = hashlib.sha256(f"{stored(self.uri)}/{identity.invocation_uid}".encode()).hexdigest()[:24]
        with alone(Path(tempfile.gettempdir()) / f"holdfast-{os.getuid()}-{name}.lock"):
            where = f"tags.`{INVOCATION}` = '{identity.invocation_uid}' and tags.`holdfast.role` = 'invocation'"
            parents = client.search_runs([number], where, max_results=1)
            if not parents:
                tags = {INVOCATION: identity.invocation_uid, "holdfast.role": "invocation"}
                name = identity.parent_name or self.folder.parent.name
                parents = [client.create_run(number, start_time=identity.started, run_name=name, tags=tags)]
            parent, status = identifier(parents[0].info.run_id, "run id"), parents[0].info.status
            ids["parent"] = parent
            if status != "FINISHED":
                client.set_terminated(parent, "FINISHED")
        return parent

    def send(self, stop: int) -> bool:
        """One batch of points up to byte ``stop``; False where all are delivered. A repeated batch changes nothing:
        the store ignores rows that it holds."""
        if self.state["delivered"] >= stop:
            return False
        client = self.client()
        from mlflow.entities import Metric, RunTag

        start = self.state["delivered"]  # the client may have found that the store lost what it had
        points, after = points_between(self.journal, start, stop)
        if after == start:
            return False
        mapped = [(self.shown.point(p), p) for p in points if not isinstance(p["value"], str)]
        metrics = [Metric(to[0], p["value"], p["t"], to[1]) for to, p in mapped if to is not None]
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

    def finish(self, stop: int, status: str, how: str, paths: list[Path]) -> None:
        """All points up to byte ``stop``, then files, then the end of the run as ``status``. Begins with whether the
        store has the run."""
        self.client()
        while self.send(stop) and not deadline.over():
            pass
        if status == "FINISHED" and self.state["delivered"] >= stop:
            self._send_whole()
        self._send_artifacts(paths)
        self._end(status, how)

    def _send_whole(self) -> None:
        """What is made of the whole journal: best value and matrix. Of a store that does not know models a warning."""
        from mlflow.entities import Metric

        client, run_id = self.client(), self.state["run_id"]
        if not self.state["best"]:
            best = [Metric(name, value, t, step) for name, value, t, step in self._best()]
            client.log_batch(run_id, metrics=best)
            self.state["best"] = True
            self.save()
        self.warning = None
        if self.identity.matrix is None or self.state["matrix"]:
            return
        try:
            run = (self._experiment(client), run_id)
            measured = matrix.cells(self.shown, read(self.journal))
            matrix.send(client, run, self.identity, measured, self.state["sent"], self.save)
        except matrix.UnknownModelsError as error:
            self.warning = str(error)
            return
        except Exception as error:
            if is_gone(error):
                self.state["sent"] = {}
            raise
        self.state["matrix"], self.state["sent"] = True, {}
        self.save()

    def _send_artifacts(self, paths: list[Path]) -> None:
        """Files, and pictures of folders (their PDFs are for papers, and stay), that the store does not have as they
        are now."""
        for path in paths:
            folder = path.name if path.is_dir() else None
            for file in sorted(path.glob("*.png")) if folder else [path]:
                key = str(file.relative_to(path.parent))
                if not file.exists():
                    continue
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                if self.state["artifacts"].get(key) != content:
                    self.client().log_artifact(self.state["run_id"], str(file), artifact_path=folder)
                    self.state["artifacts"][key] = content
                    self.save()

    def _end(self, status: str, how: str) -> None:
        if self.state["ended"] != status:
            if how == "pruned":
                self.client().set_tag(self.state["run_id"], "holdfast.state", how)
            self.client().set_terminated(self.state["run_id"], status, end_time=ended(self.folder))
            self.state["ended"] = status
            self.save()


def ended(folder: Path) -> int | None:
    """When a run ended, in milliseconds since 1970: its start and the time that it was at work since, without the time
    between a kill and its resume. None of a run that does not say.
    """
    try:
        document = run_files.read(folder / "run.json", run_files.RunState)
        return int(document["started"]) + int(document["active"])
    except (Fault, KeyError):
        return None
