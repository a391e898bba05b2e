"""What the tests of the suites share."""

from __future__ import annotations

import pytest

from .process import CommandLine


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
