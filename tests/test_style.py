"""Sizes that keep the code readable: lines, functions and files, and how often the formatter is switched off.

A pattern among the exceptions that no file needs any more is a failure: the lists can only get shorter.
"""

from __future__ import annotations

import ast
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("suites", "methods", "datasets", "analysis", "tests")
LINE, FUNCTION, FILE = 120, 60, 400

LONG_FILES: tuple[str, ...] = ()
LONG_FUNCTIONS: tuple[str, ...] = ()
SKIPPED = {"suites": 0, "methods": 0, "datasets": 3, "analysis": 0, "tests": 1}  # `# fmt: skip`, at most
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
LONG_LINES = tuple(p for p, codes in RULES.get("per-file-ignores", {}).items() if "E501" in codes)


def files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def long_lines(source: str) -> list[int]:
    """Numbers of the lines that are longer than ``LINE``."""
    return [number for number, line in enumerate(source.splitlines(), 1) if len(line) > LINE]


def long_functions(source: str) -> list[str]:
    """``NAME (lines)`` of functions longer than ``FUNCTION`` lines, their docstring and comments before them aside."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, lines = node.body[0], (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            if lines > FUNCTION:
                found.append(f"{node.name} ({lines})")
    return found


def judge(broken: dict[str, str], exceptions: tuple[str, ...]) -> list[str]:
    """What is broken and no exception, and the exceptions that nothing needs."""
    unexpected = [f"{name}: {why}" for name, why in broken.items() if not any(fnmatch(name, p) for p in exceptions)]
    unneeded = [f"{p}: no exception is needed" for p in exceptions if not any(fnmatch(name, p) for name in broken)]
    return unexpected + unneeded


def test_lines_are_short() -> None:
    assert "E501" not in RULES["ignore"]
    broken = {name_of(p): f"lines {found}" for p in files() if (found := long_lines(p.read_text(encoding="utf-8")))}
    problems = judge(broken, LONG_LINES)
    assert not problems, "\n".join(problems)


def test_files_are_short() -> None:
    sizes = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in files()}
    problems = judge({name: f"{size} lines" for name, size in sizes.items() if size > FILE}, LONG_FILES)
    assert not problems, "\n".join(problems)


def test_functions_are_short() -> None:
    broken = {name_of(p): ", ".join(found) for p in files() if (found := long_functions(p.read_text(encoding="utf-8")))}
    problems = judge(broken, LONG_FUNCTIONS)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_formatter_is_rarely_switched_off(folder: str) -> None:
    """At most as often as the bound says; where code is restructured, lower the bound."""
    mark = "# fmt: " + "skip"
    count = sum(p.read_text(encoding="utf-8").count(mark) for p in sorted((ROOT / folder).rglob("*.py")))
    assert count <= SKIPPED[folder], f"{folder}: {count} times, the bound is {SKIPPED[folder]}"


def test_the_measures() -> None:
    assert long_lines("x\n" + "y" * 121 + "\n") == [2]
    body = "    x = 1\n" * 60
    assert long_functions("def f():\n" + body) == ["f (61)"]
    assert long_functions('def f():\n    """A\n\n    b."""\n' + "    x = 1\n" * 59) == []
    assert judge({"a/b.py": "long"}, ("a/*.py", "c.py")) == ["c.py: no exception is needed"]
    assert judge({"d.py": "long"}, ()) == ["d.py: long"]
