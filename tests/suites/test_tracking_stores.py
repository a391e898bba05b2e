"""Several stores for one run, and stores that lose, delete or never had what was sent.

Every store holds every point once.
"""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config.killpoints import reach
from holdfast.suites.tracking import sender, store
from holdfast.suites.tracking import state as tracker
from holdfast.suites.tracking.delivery import compare_store, sync
from holdfast.suites.tracking.store import SQLITE, StoreError, client_class, make_store

from .process import CommandLine
from .test_tracking_server import Server

SMALL = ["--profile", "smoke", "--method", "er", "--json", "data.experiences=3", "train.epochs=1"]


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    for name in ("mlflow.db", "other.db"):
        shutil.copy(empty_store, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, cli: CommandLine) -> Path:
    """OUT with one finished run that its store holds; to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(empty_store, folder / "mlflow.db")
    cli.here("run", "split_digits", *SMALL, out=folder)
    return folder


def own(finished: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A copy of the finished OUT with its store's address corrected: OUT, the run's folder, the store."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    run = next(out.glob("*/er-s0"))
    for file in (run / "identity.json", run / "tracker.json"):
        file.write_text(file.read_text().replace(str(finished), str(out)))
    with closing(sqlite3.connect(out / "mlflow.db")) as connection, connection:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(finished), str(out)))
    return out, run, out / "mlflow.db"


def old_format(run: Path) -> None:
    """``tracker.json`` as the first version wrote it: one store."""
    known, last = tracker.states(run)
    state = known[str(last)]
    (run / "tracker.json").write_text(json.dumps({"uri": last, **state, "artifacts": list(state["artifacts"])}))


@contextmanager
def two_stores(kind: str, out: Path, free_port: Callable[[], int]) -> Iterator[tuple[dict[str, Path], str, str]]:
    """Database of each address, and the two addresses."""
    if kind == "sqlite":
        a, b = (f"{SQLITE}{out / name}" for name in ("mlflow.db", "other.db"))
        yield {a: out / "mlflow.db", b: out / "other.db"}, a, b
        return
    servers = {}
    try:
        for name in ("a", "b"):
            (out / name).mkdir()
            server = Server(out / name, free_port())
            server.start()
            servers[f"http://127.0.0.1:{server.port}"] = server
        first, second = servers
        yield {uri: server.database for uri, server in servers.items()}, first, second
    finally:
        for server in servers.values():
            server.kill()


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("sqlite", "A B resume"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("server", "A B resume"),
                ("sqlite", "B resume"),
                ("sqlite", "B A resume B"),
                ("sqlite", "A B old resume"),
            )
        ),
    ],
)
def test_two_stores_hold_every_point_once(
    kind: str, steps: str, out: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    """Ctrl-C in an evaluation, then ``sync`` to the run's own store A and to another one, B, then ``resume``.

    The journal is cut to its last checkpoint and written on, and neither store may hold a point twice. ``old``: the
    file of the first version knows B alone.
    """
    with two_stores(kind, out, free_port) as (databases, a, b):
        cli("run", "split_digits", *SMALL, "--tracking-uri", a, out=out, code=130, HOLDFAST_STOP_AT="evaluation:3")
        run = next(out.glob("*/er-s0"))
        covered = json.loads((run / "run.json").read_text())
        assert covered["status"] == "interrupted"
        for step in [*steps.split(), "A", "B"]:
            if step == "resume":
                cli.here("resume", "last", "--json", out=out)
            elif step == "old":
                old_format(run)
            else:
                report = cli.here("sync", *(["--tracking-uri", b] if step == "B" else []), "--json", out=out).document
                assert report["undelivered"] == 0
        assert json.loads((run / "run.json").read_text())["status"] == "finished"
        for uri, database in databases.items():
            assert compare_store(run, database, uri) == []
            with closing(sqlite3.connect(database)) as connection:
                run_id = tracker.state_of(run, uri)["run_id"]
                (status,) = connection.execute("select status from runs where run_uuid = ?", (run_id,)).fetchone()
                assert status == "FINISHED"
                count = "select count(*) from tags where key = 'holdfast.run_uid'"
                assert connection.execute(count).fetchone() == (1,)


def test_a_cut_journal_writes_whole_points_again_as_they_were(tmp_path: Path) -> None:
    from holdfast.suites.tracking.journal import SENT, Journal, cut, read

    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for step in range(3):
        journal.append("loss", 1.0 + step, step, "iteration")
    journal.close()
    before = list(read(path))
    with path.open("ab") as file:
        file.write(b'{"t": 1, "na')  # torn by a kill
    cut(path, len(json.dumps(before[0])) + 1)
    assert [p["step"] for p in read(path.with_name(SENT))] == [1, 2]
    cut(path, len(json.dumps(before[0])) + 1)  # a second kill at once
    journal = Journal(path)
    for step in (1, 2):
        journal.append("loss", 1.0 + step, step, "iteration")
    journal.close()
    assert list(read(path)) == before


def test_a_store_that_was_deleted_is_made_again_and_filled(finished: Path, tmp_path: Path, cli: CommandLine) -> None:
    out, run, database = own(finished, tmp_path)
    assert compare_store(run) == []
    database.unlink()
    shutil.rmtree(out / "mlartifacts")
    report = cli.here("sync", str(out), "--json", out=out).document
    assert report["undelivered"] == 0
    assert report["runs"][0]["problem"] is None
    assert compare_store(run) == []
    with closing(sqlite3.connect(database)) as connection:
        (status,) = connection.execute("select status from runs where name = 'er-s0'").fetchone()
        params = dict(connection.execute("select key, value from params").fetchall())
    assert status == "FINISHED"
    assert params["method"] == "er"
    assert list((out / "mlartifacts").rglob("summary.json"))
    assert list((out / "mlartifacts").rglob("matrix.png"))


def client_of(database: Path) -> Any:
    return client_class()(tracking_uri=f"{SQLITE}{database}")


def test_a_run_that_was_deleted_for_good_is_made_again(finished: Path, tmp_path: Path) -> None:
    _, run, database = own(finished, tmp_path)
    before = tracker.state_of(run, f"{SQLITE}{database}")["run_id"]
    client_of(database)._tracking_client.store._hard_delete_run(before)
    report = sync(run)
    assert report["undelivered"] == 0
    assert report["runs"][0]["problem"] is None
    assert report["runs"][0]["mlflow_run_id"] != before
    assert compare_store(run) == []


def test_an_older_copy_of_the_store_is_filled_up(finished: Path, tmp_path: Path) -> None:
    _, run, database = own(finished, tmp_path)
    with closing(sqlite3.connect(database)) as connection, connection:
        for table in ("metrics", "latest_metrics"):
            connection.execute(f"delete from {table} where key like 'accuracy%' or step > 1")
    assert compare_store(run)
    report = sync(run)
    assert report["runs"][0]["problem"] is None
    assert compare_store(run) == []


def test_a_deleted_experiment_is_named_and_its_points_arrive_once_it_is_restored(
    finished: Path, tmp_path: Path
) -> None:
    _, run, database = own(finished, tmp_path)
    uri = f"{SQLITE}{database}"
    client = client_of(database)
    number = client.get_experiment_by_name("split_digits").experiment_id
    client.delete_experiment(number)
    assert sync(run)["runs"][0]["problem"] is None, "delivered whole: that it is in the bin is its owner's wish"
    state = tracker.state_of(run, uri)
    with closing(sqlite3.connect(database)) as connection, connection:
        for table in ("metrics", "latest_metrics"):
            connection.execute(f"delete from {table}")
    tracker.save(run, uri, {**state, "delivered": 0, "ended": None})
    report = sync(run)
    assert report["undelivered"] > 0
    assert "restore it" in report["runs"][0]["problem"]
    (run / "tracker.json").unlink()  # not even the run is known: its experiment is in the bin all the same
    assert f"mlflow experiments restore --experiment-id {number}" in sync(run)["runs"][0]["problem"]
    client.restore_experiment(number)
    report = sync(run)
    assert report["undelivered"] == 0
    assert report["runs"][0]["problem"] is None
    assert report["runs"][0]["mlflow_run_id"] == state["run_id"], "found by its tag"
    assert compare_store(run) == []


def test_an_empty_run_id_of_the_first_version_heals(finished: Path, tmp_path: Path) -> None:
    _, run, database = own(finished, tmp_path)
    uri = f"{SQLITE}{database}"
    poisoned = {"uri": uri, "run_id": "", "delivered": 0, "artifacts": [], "ended": None, "inputs": True}
    (run / "tracker.json").write_text(json.dumps(poisoned))
    report = sync(run)
    assert report["undelivered"] == 0
    assert report["runs"][0]["problem"] is None
    assert compare_store(run, database, uri) == []


ANSWERS = [
    b"{}",
    b"[]",
    b'"text"',
    b"null",
    b"<html>signed in</html>",
    b"",
    b'{"run": {}}',
    b'{"run": {"info": {"run_id": ""}}}',
    b'{"experiment": {"experiment_id": "3"}, "run": {"info": {"run_id": ""}}}',
    b'{"experiment": {"experiment_id": "3"}, "runs": [{"info": {"run_id": ""}}]}',
    b'{"experiment": {"experiment_id": "3"}, "run": {"info": {"run_id": "../a b"}}}',
    b'{"experiment": 3}',
    b'{"experiment_id": ["x"]}',
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_cannot_be_right_is_not_kept(
    answer: bytes, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server (or a proxy before it) that says 200 and nothing more is reported; the true server gets everything
    afterwards.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = reply  # noqa: N815

        def log_message(self, *arguments: Any) -> None: ...

    monkeypatch.setattr("holdfast.suites.tracking.delivery.ATTEMPTS", 2)
    _, run, _ = own(finished, tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        report = sync(run, uri)
        server.shutdown()
    assert report["undelivered"] > 0
    assert report["runs"][0]["problem"]
    assert "\n" not in report["runs"][0]["problem"]
    assert tracker.state_of(run, uri) == tracker.new_state()


def test_a_wrong_run_in_the_answer_is_refused(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, run, database = own(finished, tmp_path)
    identity = json.loads((run / "identity.json").read_text())
    uri = identity.pop("uri")
    made = sender.Sender(run, sender.RunIdentity(**identity), uri)
    client = client_of(database)
    other = client.create_run(client.get_experiment_by_name("split_digits").experiment_id)
    monkeypatch.setattr(type(client), "get_run", lambda self, run_id: other)
    with pytest.raises(StoreError, match="another run"):
        made.client()


def test_the_stop_point_of_these_tests_asks_as_ctrl_c_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    old = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        from holdfast.suites.config import killpoints

        monkeypatch.setenv("HOLDFAST_STOP_AT", "somewhere:2")
        killpoints.forget()
        reach("somewhere")
        assert not seen
        reach("somewhere")
        reach("somewhere")
    finally:
        signal.signal(signal.SIGINT, old)
        monkeypatch.undo()
        killpoints.forget()
    assert seen == [signal.SIGINT]


def test_a_store_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, tracking_uri: str) -> None:
            Path(tracking_uri.removeprefix("sqlite:///")).write_bytes(b"half a table")

        def search_experiments(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "client_class", lambda: Full)
    with pytest.raises(OSError, match="No space left"):
        make_store(tmp_path / "mlflow.db")
    assert list(tmp_path.iterdir()) == []
