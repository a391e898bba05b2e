"""What the tests of the suites share."""

from __future__ import annotations

import pytest

from .process import CommandLine


@pytest.fixture(scope="session")
def cli() -> CommandLine:
    """The command ``suites``: ``cli("run", NAME, ..., out=FOLDER)``."""
    return CommandLine()
