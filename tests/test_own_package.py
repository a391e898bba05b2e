"""The example package of docs/contracts.md: installed as it stands there, its suite runs with its own parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .suites.process import run

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH into which pip installed the package."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    text = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8").partition("## Your own package")[2]
    for name, content in FENCE.findall(text):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (source / "waves" / "__init__.py").touch()
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    command = [sys.executable, "-W", "ignore", "-m", "pip", "install", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=source)
    assert done.returncode == 0, done.stderr
    return folder


def suites(site: Path, *arguments: str, code: int = 0) -> str:
    environment = {"PYTHONPATH": str(site), "MLFLOW_TRACKING_URI": ""}
    done = run(*arguments, cwd=site, environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_all_six_groups_are_in_the_example(site: Path) -> None:
    (file,) = site.glob("*.dist-info/entry_points.txt")
    groups = re.findall(r"^\[holdfast\.(\w+)\]$", file.read_text(), re.MULTILINE)
    assert sorted(groups) == ["datasets", "methods", "networks", "problems", "suites", "transforms"]


def test_its_suite_is_listed_validated_and_run(site: Path, tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    assert "waves_demo" in [row["name"] for row in json.loads(suites(site, "list", "--json"))]
    suites(site, "validate", "waves_demo")
    suites(site, "run", "waves_demo", "--profile", "smoke", "--out", str(tmp_path))
    written = [path for path in tmp_path.rglob("summary.json") if path.parent.name != "artifacts"]
    summaries = [json.loads(path.read_text()) for path in written]
    assert len(summaries) == 2
    assert all(summary["error/last"] > 0 and summary["shaken/error/last"] > 0.5 for summary in summaries)


BROKEN = {  # what is wrong with it -> (file, text, its replacement, what is said)
    "a module that cannot be imported": ("huber.py", "import Method,", "import Methodd,", "cannot be imported"),
    "a method that is none": (
        "huber.py",
        "class Huber(Method)",
        "class Huber(object)",
        "no class of holdfast.methods.base",
    ),
    "a data set without load": (
        "sines.py",
        "def load(",
        "def fetch(",
        "the data set 'waves/sines' of waves .* defines no load",
    ),
    "a network without build": (
        "line.py",
        "def build(",
        "def make(",
        "the network 'waves_line' of waves .* defines no build",
    ),
    "a transform that is none": (
        "shaken.py",
        "def transform(",
        "def shake(",
        "the transform 'waves_shaken' of waves .* defines no transform",
    ),
    "a problem without its main metric": (
        "error.py",
        'main = "error"',
        'main = "mistake"',
        "the main metric 'mistake' is not",
    ),
    "a recipe that is no YAML": ("suite.py", "methods:\n", "methods: [\n", "this is no YAML"),
    "a recipe of schema 1": ("suite.py", "schema: 2", "schema: 1", "of schema 1, and 2 is needed"),
    "a field that its method has not": (
        "suite.py",
        "delta: 0.1",
        "dleta: 0.1",
        "dleta: no such field - did you mean 'delta'",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_package_is_one_message_and_hurts_nobody_else(how: str, site: Path, tmp_path: Path) -> None:
    file, old, new, message = BROKEN[how]
    broken = tmp_path / "site"
    shutil.copytree(site, broken, ignore=shutil.ignore_patterns("__pycache__"))
    source = broken / "waves" / file
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))
    said = suites(broken, "validate", "waves_demo", code=2)
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert re.search(r"^where: .*\nnext:  ", said, re.MULTILINE)
    assert "coconut_slurp" in suites(broken, "list", "--json")


def test_a_second_one_of_the_name_is_an_error_that_names_both(site: Path, tmp_path: Path) -> None:
    info = tmp_path / "copycat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copycat\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[holdfast.methods]\nwaves/huber = waves.huber:Huber\n")
    done = run("validate", "waves_demo", cwd=site, environment={"PYTHONPATH": f"{site}{os.pathsep}{tmp_path}"})
    assert done.returncode == 2
    assert re.search(r"waves/huber of waves and\s+waves/huber of copycat", done.stdout + done.stderr)
