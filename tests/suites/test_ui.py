"""``suites ui``: which store and port, and that looking makes nothing."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import pages

from .process import CommandLine


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens at."""
    with closing(socket.socket()) as one:
        one.bind((pages.HOST, 0))
        one.listen()
        yield int(one.getsockname()[1])


@pytest.fixture
def out(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def test_a_port_in_use_is_named_and_the_next_free_one_taken(
    out: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PORT", taken)
    found = api.ui(out)
    assert found.port is not None
    assert found.port > taken
    assert found.note == f"port {taken} is in use by another program; taking {found.port}"
    assert found.arguments[-2:] == ["--port", str(found.port)]
    assert found.environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{out}/mlflow.db"
    assert found.arguments[found.arguments.index("--workers") + 1] == "1"
    assert found.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true")
    assert api.ui(out).environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "true", "who wants it says so"


def test_a_port_that_was_asked_for_is_not_exchanged(out: Path, taken: int, cli: CommandLine) -> None:
    with pytest.raises(Fault, match=f"port {taken} is in use") as caught:
        api.ui(out, taken)
    given, _, free = caught.value.next.partition(" ")
    assert given == "--port"
    assert pages.is_free(int(free))
    assert api.ui(out, int(free)).note == ""
    cli.here("ui", "--port", str(taken), out=out, code=2)


def test_a_folder_without_runs_stays_as_it_is(
    tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(Fault, match="there are no runs here") as caught:
            api.ui(folder)
        assert caught.value.where == str(folder)
        cli.here("ui", "--out", str(folder), out=tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []


def test_runs_that_no_store_has_are_delivered_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "suite-1").mkdir()
    (tmp_path / "suite-1" / "invocation.json").write_text("{}")
    with pytest.raises(Fault, match="in no MLflow store yet") as caught:
        api.ui(tmp_path)
    assert caught.value.next == f"suites sync {tmp_path}"


def test_a_server_has_pages_of_its_own(out: Path, cli: CommandLine) -> None:
    shown = cli.here("ui", "--tracking-uri", "http://someone:secret@127.0.0.1:9", out=out).stdout
    assert shown.startswith("MLflow: http://")
    assert "secret" not in shown
