"""``suites new``: what it writes runs at once, by the commands that it prints."""

from __future__ import annotations

import inspect
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault

from .process import CommandLine

KINDS = ["method", "suite", "data"]


def written(kind: str, tmp_path: Path, empty_store: Path, cli: CommandLine) -> list[list[str]]:
    """The commands that ``suites new`` prints."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    shown = cli.here("new", kind, "mine", out=tmp_path).stdout.splitlines()
    commands = [shlex.split(line) for line in shown[shown.index("next:") + 1 :]]
    assert [command[:2] for command in commands] == [
        ["suites", "validate"],
        ["suites", "run"],
        ["pytest", "test_mine.py"],
    ]
    assert all((tmp_path / line.removeprefix("wrote ")).is_file() for line in shown if line.startswith("wrote "))
    return commands


@pytest.mark.parametrize("kind", KINDS)
def test_the_printed_commands_and_the_written_tests_run(
    kind: str, tmp_path: Path, empty_store: Path, cli: CommandLine
) -> None:
    for _, *arguments in written(kind, tmp_path, empty_store, cli)[:2]:
        cli.here(*arguments, out=tmp_path)
    tests = {
        name: test for name, test in runpy.run_path(str(tmp_path / "test_mine.py")).items() if name.startswith("test_")
    }
    assert tests
    for name, test in tests.items():
        folder = tmp_path / "tests" / name
        folder.mkdir(parents=True)
        shutil.copy(empty_store, folder / "mlflow.db")
        test(*([folder] if inspect.signature(test).parameters else []))
    left = {path.name for path in tmp_path.iterdir()} - {
        *("runs", "mlflow.db", ".mlflow.db.lock", "mlartifacts", "__pycache__", "tests")
    }
    assert {name for name in left if not name.startswith("mine-2")} == {
        *("mine.yaml", "test_mine.py"),
        *([] if kind == "suite" else ["mine.py"]),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_pytest_as_printed(kind: str, tmp_path: Path, empty_store: Path, cli: CommandLine) -> None:
    command, *arguments = written(kind, tmp_path, empty_store, cli)[2]
    done = subprocess.run(
        [Path(sys.executable).with_name(command), "-q", "-p", "no:cacheprovider", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["", "Mine", "1st", "a-b", "a/b", "../a", "class", "test_a", "er", "split_digits", "ä", "a" * 51, "a\n"]
)
def test_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no name for a method|already") as raised:
        api.new("method", name, tmp_path)
    assert raised.value.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path, cli: CommandLine, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a folder"
    cli.here("new", "suite", "mine", "--dir", str(folder), out=tmp_path)
    assert "suites validate '" in capfd.readouterr().out or (folder / "mine.yaml").exists()
    before = (folder / "mine.yaml").read_text()
    cli.here("new", "method", "mine", "--dir", str(folder), out=tmp_path, code=2)
    assert "the file is there already" in capfd.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"mine.yaml", "test_mine.py"}
    assert (folder / "mine.yaml").read_text() == before
    (tmp_path / "file").write_text("")
    cli.here("new", "suite", "mine", "--dir", str(tmp_path / "file"), out=tmp_path, code=2)


def test_another_kind() -> None:
    with pytest.raises(Fault, match="no template for a 'methd' - did you mean 'method'"):
        api.new("methd", "mine")
