"""A real ``mlflow server`` behind a TCP proxy that delays, drops, and cuts between request and answer."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.tracking import delivery as tracking
from holdfast.suites.tracking import sender
from holdfast.suites.tracking import state as tracker
from holdfast.suites.tracking.delivery import compare_store
from holdfast.suites.tracking.store import make_store

from .process import CommandLine
from .sweeps import SMALL, SUITE
from .test_answers import IDENTITY

BIN = Path(sys.executable).parent


class Server:
    """``mlflow server`` on SQLite, on loopback; can be killed and started again on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.database = folder / "server.db"
        make_store(self.database)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=environment, start_new_session=True
            )
        for _ in range(600):
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer,
            ):
                if answer.status == 200:
                    return
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


class Proxy:
    """A TCP relay; each connection draws one of ``modes`` (seeded): pass, delay, drop, cut.

    cut: the server has answered, and the answer is lost.
    """

    def __init__(self, target: int, modes: list[str]) -> None:
        self.target, self.modes, self.seen = target, modes, dict.fromkeys(modes, 0)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        draw = random.Random(0)
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                mode = draw.choice(self.modes)
                threading.Thread(target=self._serve, args=(client, mode), daemon=True).start()

    def _serve(self, client: socket.socket, mode: str) -> None:
        """One request a connection, with ``Connection: close`` asked for, and the server's whole answer."""
        with client, suppress(OSError):
            self.seen[mode] += 1
            if mode == "drop":
                return
            if mode == "delay":
                time.sleep(0.3)
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            length = next(
                (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0
            )
            while len(body) < length:
                body += client.recv(65536)
            lines = [h for h in head.split(b"\r\n") if not h.lower().startswith(b"connection:")]
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
                answer = b""
                while part := server.recv(65536):
                    answer += part
            if mode != "cut":
                client.sendall(answer)

    def close(self) -> None:
        self.listener.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), free_port())
    made.start()
    yield made
    made.kill()


def run(cli: CommandLine, out: Path, uri: str, *small: str) -> tuple[Path, dict[str, Any], str]:
    done = cli("run", SUITE, *small, "--profile", "smoke", "--method", "er", "--tracking-uri", uri, "--json", out=out)
    report = done.document["runs"][0]
    return Path(report["folder"]), report, done.stderr


def runs_named(database: Path, uid: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(
            connection.execute(
                "select count(*) from tags where key = 'holdfast.run_uid' and value = ?", (uid,)
            ).fetchone()[0]
        )


def sync_until_done(cli: CommandLine, out: Path, times: int = 40) -> None:
    for _ in range(times):
        done = cli.here("sync", str(out), "--json", out=out, code=None)
        left = json.loads(done.stdout)
        if not left["undelivered"] and not any(r["problem"] for r in left["runs"]):
            return
    raise AssertionError(left)


@pytest.mark.parametrize(
    "modes",
    [
        ["pass", "cut", "delay", "drop"],
        pytest.param(["cut", "pass"], marks=pytest.mark.slow),
        pytest.param(["delay"], marks=pytest.mark.slow),
        pytest.param(["drop", "pass"], marks=pytest.mark.slow),
    ],
)
def test_every_point_arrives_once_whatever_the_network_does(
    modes: list[str], server: Server, tmp_path: Path, cli: CommandLine
) -> None:
    proxy = Proxy(server.port, modes)
    try:
        folder, _report, _ = run(cli, tmp_path, f"http://127.0.0.1:{proxy.port}", *SMALL)
        sync_until_done(cli, tmp_path)
    finally:
        proxy.close()
    assert all(proxy.seen[mode] for mode in modes)
    assert compare_store(folder, server.database) == []
    uid = json.loads((folder / "run.json").read_text())["uid"]
    assert runs_named(server.database, uid) == 1, "a lost answer must not make a second run"
    with closing(sqlite3.connect(server.database)) as connection:
        run_id = tracker.state_of(folder, f"http://127.0.0.1:{proxy.port}")["run_id"]
        status, name = connection.execute("select status, name from runs where run_uuid = ?", (run_id,)).fetchone()
        assert (status, name) == ("FINISHED", "er-s0")
        params = dict(connection.execute("select key, value from params where run_uuid = ?", (run_id,)).fetchall())
    assert params["method"] == "er"
    assert params["profile"] == "smoke"


def points_of(database: Path) -> int:
    with closing(sqlite3.connect(database, timeout=1)) as connection:
        return int(connection.execute("select count(*) from metrics").fetchone()[0])


def test_a_server_that_dies_in_the_middle_and_comes_back(server: Server, tmp_path: Path, cli: CommandLine) -> None:
    before = points_of(server.database)

    def kill_at_first_point() -> None:
        for _ in range(3000):
            with suppress(sqlite3.Error):
                if points_of(server.database) > before:
                    break
            time.sleep(0.02)
        server.kill()

    watcher = threading.Thread(target=kill_at_first_point)
    watcher.start()
    folder, report, errors = run(cli, tmp_path, f"http://127.0.0.1:{server.port}")
    watcher.join()
    assert report["metrics"]["accuracy/last"] >= 0
    assert "suites sync" in errors
    assert compare_store(folder, server.database), "nothing was left to deliver: the server died too late"
    server.start()
    sync_until_done(cli, tmp_path)
    assert compare_store(folder, server.database) == []


@pytest.mark.parametrize(
    ("where", "problem"), [("sqlite:///{}/mlflow.db", None), ("http://127.0.0.1:9", "the store is slow")]
)
def test_the_end_of_a_run_waits_for_tables_that_are_being_made(
    where: str, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the first thing a thread does is to make the tables
    monkeypatch.setattr(sender.Sender, "finish", lambda sender, *arguments: time.sleep(1))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("")
    delivery = tracking.Delivery(folder, IDENTITY, where.format(tmp_path))
    delivery.start()
    assert delivery.finish("FINISHED", timeout=0.05).problem == problem
