"""The guides, followed literally: the files that a page shows are written, its commands run, its output compared.

A block with a title is a file; a ``console`` block holds commands, ``$ ...``, each with the output that the page shows
(lines that must appear in this order; ``...`` stands for anything). ``sh`` blocks take too long or need what is not
here: their commands are parsed alone.
"""

from __future__ import annotations

import inspect
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Protocol

import holdfast.methods.training.strategy  # noqa: F401 - imported while warnings of the libraries are ignored
import pytest

from .suites.hints import refusal, unknown_fields
from .suites.process import CommandLine

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FOLLOWED = ["add-a-method", "add-a-data-set", "add-a-suite", "python"]
PAGES = [DOCS / "quickstart.md", *sorted((DOCS / "guides").glob("*.md")), ROOT / "README.md"]
LIGHT = ("suites new", "suites validate", "suites show", "suites list", "suites copy")
FENCE = re.compile(r"^```(\w+)?(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Follow(Protocol):
    """Does in an empty folder what a page says; without ``whole`` only what trains nothing."""

    def __call__(self, name: str, whole: bool) -> None: ...


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command with the lines shown under it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, *shown = part.strip("\n").split("\n")
            yield command, [line.strip() for line in shown if line.strip()]


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def missing(shown: list[str], said: str) -> list[str]:
    """Lines that the page shows and that do not appear, in their order; a line ``...`` is any number of lines."""
    left = [line.strip() for line in said.splitlines()]
    lost = []
    for line in (one for one in shown if one != "..."):
        pattern = re.compile(re.escape(line).replace(r"\.\.\.", ".*"))
        k = next((k for k, one in enumerate(left) if pattern.fullmatch(one)), None)
        if k is None:
            lost.append(line)
        else:
            left = left[k + 1 :]
    return lost


def collected(file: Path, store: Path, scratch: Path) -> None:
    """The tests of a file, as pytest would call them."""
    tests = {name: one for name, one in runpy.run_path(str(file)).items() if name.startswith("test_")}
    assert tests
    for name, test in tests.items():
        folder = scratch / name
        folder.mkdir(parents=True)
        shutil.copy(store, folder / "mlflow.db")
        test(**({"tmp_path": folder} if inspect.signature(test).parameters else {}))


@pytest.fixture
def follow(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Follow:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    cli = CommandLine()

    def run(command: str, shown: list[str]) -> None:
        program, *arguments = shlex.split(command)
        capfd.readouterr()
        if program == "suites":
            refused = any(line.startswith("error:") for line in shown)
            done = cli.here(*arguments, out=tmp_path, code=None)
            said = done.stdout + capfd.readouterr().err
            assert done.returncode == (2 if refused else 0), f"{command}\n{said}"
        elif program == "pytest":
            collected(tmp_path / arguments[0], empty_store, tmp_path / "of_pytest")
            said = ""
        else:
            assert program == "python", command
            out = StringIO()
            with redirect_stdout(out):
                runpy.run_path(arguments[0], run_name="__main__")
            said = out.getvalue()
        assert missing(shown, said) == [], f"{command}\n{said}"

    def page(name: str, whole: bool) -> None:
        for block in blocks(DOCS / "guides" / f"{name}.md"):
            if block.title:
                (tmp_path / block.title).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / block.title).write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                for command, shown in block.commands():
                    if whole or command.startswith(LIGHT) or any(line.startswith("error:") for line in shown):
                        run(command, shown)

    return page


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_a_guide_shows_is_written_checked_and_refused_as_shown(name: str, follow: Follow) -> None:
    """All that trains nothing."""
    follow(name, whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_guide_works_as_it_stands(name: str, follow: Follow) -> None:
    follow(name, whole=True)


def test_what_a_page_shows_and_does_not_appear_is_seen() -> None:
    assert missing(["wrote a.py", "next:"], "wrote a.py\nnext:\n  more\n") == []
    assert missing(["next:", "wrote a.py"], "wrote a.py\nnext:\n") == ["wrote a.py"]
    assert missing(["mae ...", "..."], "mae 0.3 ± 0.1\n") == []
    assert missing(["mae"], "mae 0.3\n") == ["mae"]


def spoken(page: Path) -> list[str]:
    """The lines of shell in a page, without those that are shown being refused and without comments."""
    shell = "\n".join(block.text for block in blocks(page) if block.language in ("sh", "console"))
    shell = re.sub(r"^\$ .*\n(?=error:)", "", shell, flags=re.MULTILINE).replace(" || ", "\n").replace("; do ", "\n")
    return [re.sub(r"\s+#.*$", "", line).removeprefix("$ ") for line in shell.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_commands_that_a_page_names_exist(page: Path) -> None:
    lines = [re.sub(r"\$\w+", "1", line.split(";")[0]) for line in spoken(page) if line.startswith("suites ")]
    assert [(line, why) for line in lines if (why := refusal(shlex.split(line)[1:]))] == []
    assert unknown_fields("\n".join(lines)) == []


@pytest.mark.slow
def test_the_site_builds_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    mkdocs = str(Path(sys.executable).with_name("mkdocs"))
    command = [mkdocs, "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "guides" / "add-a-method" / "index.html").is_file()
    assert "MkDocs 2" not in done.stderr
