"""Passwords, tokens and the user's home are in no file, tag or message, after runs that end well or badly."""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.suites.config import private
from holdfast.suites.config.errors import Fault
from holdfast.suites.sweeps.studies import Study
from holdfast.suites.tracking import state as tracker
from holdfast.suites.tracking.delivery import compare_store, sync
from holdfast.suites.tracking.store import SQLITE, resolve_uri

from .process import CommandLine, Done

URL_SECRET, STORE_SECRET, MLFLOW_SECRET, TOKEN = "In%2FThe-Url", "of-the-storage", "of-mlflow-itself", "hf_AbCdEf"
SECRETS = (URL_SECRET, "In/The-Url", STORE_SECRET, MLFLOW_SECRET, TOKEN)
OWN_PLACES = {
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
}  # MLflow finds its own files by whole addresses


@pytest.fixture
def home(tmp_path: Path, empty_store: Path) -> Path:
    """A home with runs and data in it; the data are five numbers a row."""
    folder = tmp_path / "home of someone"
    (folder / "runs").mkdir(parents=True)
    (folder / "data").mkdir()
    shutil.copy(empty_store, folder / "runs" / "mlflow.db")
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(90, 4))
    table = np.column_stack([rows, rows @ [1.0, 2.0, 0.5, 0.1]])
    text = "\n".join(["a,b,c,d,y", *(",".join(f"{v:.4f}" for v in row) for row in table)])
    (folder / "data" / "table.csv").write_text(text + "\n")
    return folder


def suites(cli: CommandLine, *arguments: str, home: Path, code: int = 0, **environment: str) -> Done:
    own: dict[str, Any] = {
        "HOME": str(home),
        "HOLDFAST_RUNS": str(home / "runs"),
        "MLFLOW_TRACKING_PASSWORD": MLFLOW_SECRET,
        "HF_TOKEN": TOKEN,
    }
    done = cli(*arguments, out=home, code=code, **{**own, **environment})
    shown = done.stdout + done.stderr
    assert not [secret for secret in SECRETS if secret in shown], shown
    return done


def found_in(folder: Path, home: Path) -> list[str]:
    """Where below ``folder`` a secret or the home occurs: files by their bytes, SQLite files by their cells."""
    private_texts = [*SECRETS, str(home)]
    hits = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        if file.suffix == ".db":
            with closing(sqlite3.connect(file)) as connection:
                for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
                    cursor = connection.execute(f'select * from "{table}"')
                    names = [column[0] for column in cursor.description]
                    for row in cursor:
                        for name, cell in zip(names, row, strict=True):
                            secrets = private_texts[:-1] if (table, name) in OWN_PLACES else private_texts
                            hits += [f"{file.name}: {table}.{name}: {s}" for s in secrets if s in str(cell)]
        else:
            data = file.read_bytes()
            hits += [f"{file.relative_to(folder)}: {s}" for s in private_texts if s.encode() in data]
    return hits


class Busy(http.server.BaseHTTPRequestHandler):
    """A server that is always too busy, and keeps what logins it was shown."""

    logins: list[str]

    def reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = self.headers.get("Authorization", "")
        self.logins.append(base64.b64decode(given.removeprefix("Basic ")).decode() if given else "")
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PATCH = reply  # noqa: N815

    def log_message(self, *arguments: Any) -> None: ...


@contextmanager
def busy() -> Iterator[tuple[int, list[str]]]:
    """The port of such a server, and the logins that it is shown."""
    logins: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Busy,), {"logins": logins})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port, logins
        finally:
            server.shutdown()


RUN = ["run", "supremix_tabular", "--profile", "smoke", "--method", "l1", "--json"]


def test_runs_that_succeed_fail_and_lose_their_server_hold_no_secret(home: Path, cli: CommandLine) -> None:
    data = ["--data-root", str(home / "data")]
    fine = json.loads(suites(cli, *RUN, *data, home=home).stdout)
    folder = Path(fine["runs"][0]["folder"])
    assert fine["data"]["source"] == "real"
    assert "~/data" in (folder / "recipe.yaml").read_text(), "the home is written as ~"
    assert compare_store(folder, home / "runs" / "mlflow.db", f"{SQLITE}~/runs/mlflow.db") == []
    suites(cli, *RUN, *data, "train.optimizer=SGD", "train.lr=100", "train.clip=null", home=home, code=4)
    with busy() as (port, logins):
        uri = f"http://someone:{URL_SECRET}@127.0.0.1:{port}"
        lost = json.loads(suites(cli, *RUN, *data, "--tracking-uri", uri, home=home).stdout)
        assert "someone:In/The-Url" in logins
    alone = Path(lost["runs"][0]["folder"])
    assert json.loads((alone / "identity.json").read_text())["uri"] == f"http://127.0.0.1:{port}"
    assert found_in(home / "runs", home) == []
    suites(cli, "resume", str(folder.parent), "--json", home=home)
    again = suites(cli, "run", str(folder / "recipe.yaml"), "--json", home=home)  # ~ is found again
    assert json.loads(again.stdout)["data"]["source"] == "real"
    uri = f"{SQLITE}{home}/runs/other.db"
    synced = json.loads(suites(cli, "sync", str(alone), "--tracking-uri", uri, "--json", home=home).stdout)
    assert synced["undelivered"] == 0
    assert (home / "runs" / "other.db").exists()
    assert found_in(home / "runs", home) == []


@pytest.mark.slow
def test_a_study_holds_no_secret_and_its_workers_have_the_login(home: Path, cli: CommandLine) -> None:
    sweep = ["sweep", "supremix_tabular", "--profile", "smoke", "--method", "l1", "--trials", "2", "--json"]
    data = ["--data-root", str(home / "data")]
    with busy() as (port, logins):
        uri = f"http://someone:{URL_SECRET}@127.0.0.1:{port}"
        suites(cli, *sweep, *data, "--study", "lost", "--tracking-uri", uri, home=home)
        assert "someone:In/The-Url" in logins
        assert set(logins) <= {"someone:In/The-Url"}, "every request of every worker has it"
    storage = f"postgresql://someone:{STORE_SECRET}@127.0.0.1:9/none"
    suites(cli, *sweep, *data, "--study", "none", "--storage", storage, home=home, code=2)
    plan = json.loads((home / "runs" / "study-none" / "study.json").read_text())
    assert plan["storage"] == "postgresql://127.0.0.1:9/none"
    assert found_in(home / "runs", home) == []
    text = suites(cli, "sync", "--json", home=home, code=4).stdout
    assert json.loads(text)["studies"]


def test_a_login_comes_back_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine) -> None:
    """Stored is the address alone; a later process has the login of MLflow's variables or of MLFLOW_TRACKING_URI."""
    monkeypatch.setattr("holdfast.suites.tracking.delivery.ATTEMPTS", 1)
    monkeypatch.delenv(private.LOGINS, raising=False)
    suites(cli, *RUN, home=home)
    run = next((home / "runs").glob("*/l1-s0"))
    identity = json.loads((run / "identity.json").read_text())
    with busy() as (port, logins):
        (run / "identity.json").write_text(json.dumps(identity | {"uri": f"http://127.0.0.1:{port}"}))
        sync(run)
        assert set(logins) == {""}
        logins.clear()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", MLFLOW_SECRET)
        report = sync(run)
        assert set(logins) == {f"me:{MLFLOW_SECRET}"}
        monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
        monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
        logins.clear()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://you:{URL_SECRET}@127.0.0.1:{port}/")
        report = sync(run)
        assert set(logins) == {"you:In/The-Url"}
    assert report["runs"][0]["problem"]
    assert not [secret for secret in SECRETS if secret in json.dumps(report)]
    assert not [hit for hit in found_in(run, home) if str(home) not in hit]


def test_a_tracker_of_the_first_version_with_a_password_is_read_and_loses_it(tmp_path: Path) -> None:
    old = {
        "uri": f"http://u:{URL_SECRET}@host/",
        "run_id": "abc",
        "delivered": 3,
        "artifacts": ["plots"],
        "ended": None,
        "inputs": True,
    }
    (tmp_path / "tracker.json").write_text(json.dumps(old))
    assert tracker.state_of(tmp_path, "http://host")["delivered"] == 3
    tracker.rewind(tmp_path, 1)
    text = (tmp_path / "tracker.json").read_text()
    assert URL_SECRET not in text
    assert tracker.states(tmp_path)[0]["http://host"]["delivered"] == 1


TEXTS = [
    ("http://user:secret@host:1/x?y=1", "http://host:1/x?y=1"),
    (
        "a postgresql+psycopg2://u:p%40ss@h/db?sslpassword=hush&a=1, then",
        "a postgresql+psycopg2://h/db?sslpassword=***&a=1, then",
    ),
    ("http://u:p@ss@host/", "http://host/"),
    ("http://token@host, http://host/path@v1 and me@mail.org", "http://host, http://host/path@v1 and me@mail.org"),
    ("sqlite:////runs/a@b:c/mlflow.db", "sqlite:////runs/a@b:c/mlflow.db"),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_what_is_shown_of_a_url(text: str, shown: str) -> None:
    assert private.public(text) == shown
    assert private.public(shown) == shown


def test_secrets_of_the_environment_are_taken_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a/b c d")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://u:{URL_SECRET}@h?token=also-this")
    fault = Fault.data(f"401 for {TOKEN} of a%2Fb%20c%20d", "a/b c d", f"In/The-Url {URL_SECRET} also-this")
    assert (fault.what, fault.where, fault.next) == ("401 for *** of ***", "***", "*** *** ***")
    assert not [secret for secret in (TOKEN, "a/b c d", "also-this") if secret in str(fault)]


@pytest.mark.parametrize("where", ["/home/me", "/root", "/data/home of me"])
def test_home_is_written_as_a_tilde_and_comes_back(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", where)
    document = {
        "root": f"{where}/data",
        "home": where,
        "uri": f"{SQLITE}{where}/runs/mlflow.db",
        "file": f"file://{where}/x",
        "n": [1, None],
    }
    put = private.written(document)
    assert where not in json.dumps(put)
    assert private.expanded(put) == document
    other = {"a": f"/mnt{where}/x", "b": f"{where}2/x", "c": "~", "d": "a ~ b"}
    assert private.written(other) == other
    assert private.homeless(f"cannot read {where}/x: '{where}'") == "cannot read ~/x: '~'"


def test_a_password_that_cannot_be_read_is_refused_unseen(tmp_path: Path, cli: CommandLine) -> None:
    with pytest.raises(Fault, match="%2F") as caught:
        resolve_uri(tmp_path, "http://user:se/cret@host")
    assert "cret" not in str(vars(caught.value))
    done = cli(
        *RUN,
        "--tracking-uri",
        "http://user:se/cret@host",
        out=tmp_path,
        code=2,
        HOLDFAST_RUNS=str(tmp_path / "runs"),
    )
    assert "cret" not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists(), "nothing is left behind"


def test_databases_get_the_login_of_mlflows_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p@ss")
    assert private.complete("postgresql://host:5432/mlflow") == "postgresql://me:p%40ss@host:5432/mlflow"
    assert private.complete("postgresql://you:x@host/mlflow") == "postgresql://you:x@host/mlflow"
    assert private.complete("http://host") == "http://host", "MLflow's client reads the variables itself"
    assert private.complete("postgresql://host/optuna", mlflow=False) == "postgresql://host/optuna"
    monkeypatch.setenv("HOLDFAST_STORAGE", "postgresql://o:q@host/optuna")
    assert private.complete("postgresql://host/optuna", mlflow=False) == "postgresql://o:q@host/optuna"


def test_a_storages_login_may_be_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.suites.sweeps import studies

    monkeypatch.setenv(private.LOGINS, "")
    folder = tmp_path / "study-a"
    folder.mkdir()
    plan = {
        "schema": 1,
        "study": "a",
        "uid": "0",
        "suite": "s",
        "recipe": "",
        "method": "er",
        "device": "cpu",
        "seed": 0,
        "objectives": [{"name": "valid/accuracy/average", "direction": "maximize"}],
        "trials": 1,
        "sampler": "random",
        "pruner": "none",
        "tracking_uri": "",
    }
    Study(folder, {**plan, "storage": studies.to_file("postgresql://u:pw-one@h/db")}).save()
    assert "pw-one" not in (folder / "study.json").read_text()
    monkeypatch.setenv(private.LOGINS, "")
    study = studies.find("a", tmp_path, "postgresql://u:pw-one@h/db")
    assert study is not None
    assert private.complete(study.plan["storage"], mlflow=False) == "postgresql://u:pw-one@h/db"
    with pytest.raises(Fault, match="the study's storage is postgresql://h/db"):
        studies.find("a", tmp_path, "postgresql://u:pw-one@elsewhere/db")


def test_the_pages_command_shows_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.suites.cli import service

    seen: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: seen.append(arguments))
    uri = f"postgresql://u:{STORE_SECRET}@h/db"
    monkeypatch.setenv(private.LOGINS, "")
    service.ui(out=tmp_path, port=5000, tracking_uri=uri)
    (_, arguments, environment) = seen[0]
    assert STORE_SECRET not in " ".join(arguments), "everybody may see a process's arguments"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri


def test_a_traceback_that_is_asked_for_shows_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from holdfast.suites.cli.errors import guarded

    monkeypatch.setenv("HOLDFAST_DEBUG", "1")

    def fail() -> None:
        raise OSError(f"cannot reach http://u:{URL_SECRET}@h")

    assert guarded(fail, False) == 4
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert URL_SECRET not in shown
