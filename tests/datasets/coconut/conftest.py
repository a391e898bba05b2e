"""The released layouts, written once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .. import trees


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("trees")
    return {
        "slurp": trees.slurp(base / "slurp"),
        "fsc": trees.fsc(base / "fsc"),
        "manifest": trees.manifest(base / "manifest"),
    }


@pytest.fixture
def tree(made: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made[request.param], tmp_path / "tree"))
