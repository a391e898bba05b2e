"""What the tests of the suites share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .process import BLANK, QUICK, TABLES, CommandLine, blank_pictures, copied_tables, quick


@pytest.fixture(scope="session")
def cli() -> CommandLine:
    """The command ``suites``: ``cli("run", NAME, ..., out=FOLDER)``."""
    return CommandLine()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in the process of the test."""
    from holdfast.suites.runtime import executors

    from .sweeps import Here

    monkeypatch.setattr(executors, "engine", lambda *a, **k: Here())


@pytest.fixture(scope="module", autouse=True)
def _pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pictures have no pixels, but in a module that looks at them (``REAL_PICTURES = True``)."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "REAL_PICTURES", False):
            patch.setenv(BLANK, "1")
            blank_pictures(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tables(store_template: Path) -> Iterator[None]:
    """A SQLite store that is made is a copy of one with MLflow's tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TABLES, str(store_template))
        copied_tables(patch, store_template)
        yield


@pytest.fixture(scope="module", autouse=True)  # not session: tests of other folders may come after these
def _quick() -> Iterator[None]:
    """Probes are fitted in few steps, what they find is tested in tests/analysis/probes; no file waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(QUICK, "1")
        quick(patch)
        yield
