"""docs/bad-inputs.md is what its file of recorded refusals gives, and the command line still says it."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from .suites.process import CommandLine
from .test_results_pages import script

generate = script("refusals")
ROWS: list[dict[str, Any]] = generate.read()


NEEDS = ("DIR", "cuda", "=absent", "--data-root", " last", "--out", "smoke")


def alone(row: dict[str, Any]) -> bool:
    """Whether the command can be run as it stands: it needs no file, no run, no data and no machine."""
    if row["group"] not in ("Recipes", "The command line") or row["case"] or "transformers" in row["did"]:
        return False
    return row["exit"] == 2 and not any(word in row["did"] for word in NEEDS)


ALONE = [row for row in ROWS if alone(row)]
SAMPLE = ALONE[:: max(1, len(ALONE) // 10)]


def test_the_page_is_what_its_file_gives() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(ROWS), f"run: {generate.COMMAND}"


def test_the_page_has_every_group() -> None:
    groups = {row["group"] for row in ROWS}
    assert {*generate.GROUPS, "Faults of files"} - groups <= {"Stores"}
    assert len(ALONE) > 20


@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: str(row["did"]))
def test_the_command_line_still_says_it(
    row: dict[str, Any],
    tmp_path: Path,
    empty_store: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    CommandLine().here(*shlex.split(row["did"])[1:], out=tmp_path, code=row["exit"])
    said = generate.shortened(capfd.readouterr().err).replace(str(tmp_path), "DIR")
    assert f"error: {row['what']}\nwhere: " in said
    assert f"\nnext:  {row['next']}" in said


def line(**fields: Any) -> str:
    return json.dumps({"file": "tests/x/test_x.py", "test": "a_name", "case": None, "exit": 2, "where": "x"} | fields)


def test_a_recording_becomes_one_row_a_kind_without_paths_of_the_machine() -> None:
    given = {"kind": "command", "next": "suites list", "what": "unknown suite 'a' - did you mean 'b'?"}
    folder = "/tmp/pytest-of-me/pytest-7/test_x0"
    raw = [
        line(**given, arguments=["run", "aaa", "--json"]),
        line(**given | {"what": "unknown suite 'other'"}, arguments=["run", "a"]),
        line(**given | {"what": f"{folder}/r.yaml: no YAML"}, arguments=["validate", f"{folder}/r.yaml"]),
        line(
            **given | {"what": "cannot read " + "/".join(("", "home", "me", "r.yaml"))},
            arguments=["validate", "r.yaml"],
        ),
        line(kind="data", what=f"{folder}: 1 fault\n  a_b | c", exit=3, file="tests/datasets/test_csv.py"),
    ]
    rows = generate.rows_of(raw)
    assert [(row["did"], row["what"]) for row in rows] == [
        ("csv", "DIR: 1 fault\n  a_b | c"),
        ("suites validate DIR/r.yaml", "DIR/r.yaml: no YAML"),
        ("suites run a", "unknown suite 'other'"),
    ]
    page = generate.page(rows)
    assert "| csv | a name | DIR: 1 fault / a\\_b \\| c |" in page
    assert "| `suites validate DIR/r.yaml` (a name) | 2 | DIR/r.yaml: no YAML | suites list |" in page
