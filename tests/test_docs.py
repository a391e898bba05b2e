"""Documents name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NAMED = re.compile(r"`(?:python )?((?:suites|methods|datasets|analysis|tests|docs)/[\w./-]+)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_files_that_a_document_names_exist(path: Path) -> None:
    named = [name.rstrip("./") for name in NAMED.findall(path.read_text(encoding="utf-8"))]
    missing = sorted({name for name in named if not (ROOT / name).exists()})
    assert not missing, f"{path.name} names {missing}"


def test_every_loss_stands_in_its_document() -> None:
    from holdfast.methods import losses

    text = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    assert [name for name in losses.__all__ if f"`{name}`" not in text] == []
