"""The example package of docs/contracts.md: installed as it stands there, its suite runs with its own parts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the package and the metadata that an installer would write."""
    folder = tmp_path_factory.mktemp("site")
    text = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8").partition("## Your own package")[2]
    files = dict(FENCE.findall(text))
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    sections = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n")
    return folder


def suites(site: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "MLFLOW_TRACKING_URI": ""}
    command = [str(Path(sys.executable).with_name("suites")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=site, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_all_five_groups_are_in_the_example(site: Path) -> None:
    (file,) = site.glob("*.dist-info/entry_points.txt")
    groups = re.findall(r"^\[holdfast\.(\w+)\]$", file.read_text(), re.MULTILINE)
    assert sorted(groups) == ["datasets", "methods", "networks", "problems", "suites"]


def test_its_suite_is_listed_validated_and_run(site: Path, tmp_path: Path) -> None:
    assert "waves_demo" in [row["name"] for row in json.loads(suites(site, "list", "--json"))]
    suites(site, "validate", "waves_demo")
    suites(site, "run", "waves_demo", "--profile", "smoke", "--out", str(tmp_path))
    written = [path for path in tmp_path.rglob("summary.json") if path.parent.name != "artifacts"]
    summaries = [json.loads(path.read_text()) for path in written]
    assert len(summaries) == 2
    assert all(summary["error/last"] > 0 for summary in summaries)


def test_a_second_one_of_the_name_is_an_error_that_names_both(site: Path, tmp_path: Path) -> None:
    info = tmp_path / "copycat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copycat\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[holdfast.methods]\nwaves/huber = waves.huber:Huber\n")
    environment = f"{site}{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [str(Path(sys.executable).with_name("suites")), "validate", "waves_demo"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": environment},
        cwd=site,
    )
    assert done.returncode == 2
    assert re.search(r"waves/huber of waves and\s+waves/huber of copycat", done.stdout + done.stderr)
