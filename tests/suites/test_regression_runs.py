"""Regression through the real command line: ranges of labels one after another, kills in both stages, bad tables."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.tracking.journal import comparable

from .process import CommandLine

SMALL = ["supremix_tabular", "--profile", "smoke", "--json"]


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def test_ranges_of_labels_one_after_another_with_replay(out: Path, cli: CommandLine) -> None:
    methods = ["--method", "l1", "--method", "supremix", "methods.supremix.memory_share=0.3"]
    data = ["data.experiences=3", "data.split=range", "data.class_order=alphabetical"]
    document = cli.here("run", *SMALL, *methods, *data, out=out).document
    for run in document["runs"]:
        rows = csv.DictReader((Path(run["folder"]) / "matrix.csv").read_text().splitlines())
        cells = {(r["after_experience"], r["test_experience"]): r for r in rows}
        assert set(cells) == {(str(t), str(j)) for t in range(3) for j in range(t + 1)}
        value = {k: float(r["value"]) for k, r in cells.items()}
        count = [int(cells["2", str(j)]["count"]) for j in range(3)]
        assert sum(count) == 40
        pooled = sum(value["2", str(j)] * count[j] for j in range(3)) / 40
        assert run["metrics"]["mae/last"] == pytest.approx(pooled)
        rise = [value["2", "0"] - min(value["0", "0"], value["1", "0"]), value["2", "1"] - value["1", "1"]]
        assert run["metrics"]["mae/forgetting"] == pytest.approx(sum(rise) / 2)
    assert document["runs"][1]["metrics"]["cost/memory_rows"] == 3 * (28 // 3)
    assert "cost/memory_rows" not in document["runs"][0]["metrics"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cli: CommandLine) -> Any:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return cli.here("run", *SMALL, "--method", "supremix_probe", out=folder).document["runs"][0]


@pytest.mark.parametrize("point", ["iteration:4", "iteration:17"])  # pre-training has 12 steps, the probe 12 more
def test_a_kill_in_either_stage_changes_nothing(out: Path, whole: Any, point: str, cli: CommandLine) -> None:
    cli("run", *SMALL, "--method", "supremix_probe", out=out, kill_at=point, code=-9)
    resumed = cli.here("resume", "last", "--json", out=out).document["runs"][0]

    def numbers(run: Any) -> dict[str, float]:
        return {k: v for k, v in run["metrics"].items() if k != "cost/seconds_per_step"}

    assert numbers(resumed) == numbers(whole)
    assert comparable(Path(resumed["folder"]) / "journal.jsonl") == comparable(Path(whole["folder"]) / "journal.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n" + "".join(f"{i},{i}\n" for i in range(30)) + "4,nan\n", "line 32: the target 'y' is nan"),
        ("a,y\n" + "".join(f"{i},1\n" for i in range(30)), "training targets are 1"),
        ("a,y\n1,1\n", "1 rows of data"),
    ],
)
def test_a_bad_table_ends_with_exit_code_3_and_leaves_nothing(
    out: Path, text: str, message: str, cli: CommandLine
) -> None:
    (out / "bad.csv").write_text(text)
    before = sorted(p.name for p in out.iterdir())
    error = cli.here("run", *SMALL, "--data-root", str(out / "bad.csv"), out=out, code=3).document["error"]
    assert error["code"] == "data"
    assert message in error["what"]
    assert sorted(p.name for p in out.iterdir()) == before
