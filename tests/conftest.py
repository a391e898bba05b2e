"""Paths and stores of the tests: nothing is read from or written to the developer's own cache and runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HOLDFAST_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("COLUMNS", "200")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="session")
def golden() -> Path:
    return Path(__file__).with_name("golden")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's SQLite store with its tables and nothing in it; tests copy it."""
    from holdfast.suites.tracking import _make_store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    _make_store(path)
    return path


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port of the loopback that nothing listens on."""

    def find() -> int:
        with closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            return int(s.getsockname()[1])

    return find
