"""docs/guides/notebook.md, cell by cell in one namespace, as a notebook runs it."""

from __future__ import annotations

import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from .test_guides import blocks, missing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "notebook.md"


def test_every_cell_prints_what_the_page_shows(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_RUNS", str(tmp_path))
    namespace: dict[str, object] = {"__name__": "__main__"}
    said, cells = "", 0
    for block in blocks(PAGE):
        if block.language == "python":
            out = StringIO()
            with redirect_stdout(out):
                exec(compile(block.text, f"cell {cells + 1}", "exec"), namespace)
            said, cells = out.getvalue(), cells + 1
        else:
            shown = [line.strip() for line in block.text.strip().split("\n")]
            assert missing(shown, said) == [], f"cell {cells} printed:\n{said}"
    assert cells == len(re.findall(r"^```text$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == 7
    assert (tmp_path / "errors.png").stat().st_size > 0
