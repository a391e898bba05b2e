"""Who may import whom: the rules of the packages, over the syntax tree of every file.

``violations`` judges one file, ``circles`` all of them. There are no exemptions: a file that must break a rule shows
that the rule, or the place of the file, is wrong.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("suites", "methods", "datasets", "analysis")
Parts = tuple[str, ...]

# Each layer of suites, and those that it may import beside itself.
LAYERS: dict[str, frozenset[str]] = {
    "cli": frozenset({"api", "reports", "sweeps", "runtime", "tracking", "config"}),
    "api": frozenset({"reports", "sweeps", "runtime", "tracking", "config"}),
    "reports": frozenset({"runtime", "tracking", "config"}),
    "sweeps": frozenset({"runtime", "tracking", "config"}),
    "runtime": frozenset({"tracking", "config"}),
    "tracking": frozenset({"config"}),
    "config": frozenset(),
    "recipes": frozenset(),
}
# Everything the command line does is a call of suites.api; beside it, what an error and a screen need.
FOR_CLI = (
    ("cli",),
    ("api",),
    ("reports",),
    ("config", "errors"),
    ("config", "private"),
    ("config", "sources"),  # names of suites for the shell's completion, which waits for nothing else
    ("runtime", "console"),
    ("runtime", "messages"),
    ("sweeps", "screen"),
)
SHARED_METHODS = frozenset({"base", "training", "losses", "networks", "continual"})  # no families of methods
FOR_FAMILIES = frozenset({"base", "losses", "networks", "continual"})
SHARED_DATASETS = frozenset({"core", "readers", "spoken", "transforms"})
SUITES_ALONE = frozenset({"mlflow", "optuna", "typer"})
FOR_LOSSES = frozenset({"torch", "numpy"})


@dataclass(frozen=True)
class Import:
    """One imported name: ``parts`` from the project's root (suites, methods, ...) or of a library."""

    line: int
    parts: Parts
    ours: bool
    relative: bool
    name: str  # what is bound of it
    runs: bool  # not under TYPE_CHECKING


def module_of(relative_path: str) -> tuple[Parts, Parts]:
    """A file's module and its package, from the project's root."""
    parts = tuple(relative_path.removesuffix(".py").split("/"))
    return (parts[:-1], parts[:-1]) if parts[-1] == "__init__" else (parts, parts[:-1])


@functools.lru_cache(maxsize=2)
def _nodes(source: str) -> tuple[ast.AST, ...]:
    """Every node of a file, which several rules look at."""
    return tuple(ast.walk(ast.parse(source)))


@functools.lru_cache(maxsize=2)
def _private_attributes(source: str) -> tuple[tuple[int, str, str], ...]:
    """Line, what it is an attribute of, and name of each private attribute in a file."""
    found = [node for node in _nodes(source) if isinstance(node, ast.Attribute) and _is_private(node.attr)]
    return tuple((node.lineno, ast.unparse(node.value), node.attr) for node in found)


def _typing_only(source: str) -> set[ast.AST]:
    """The nodes under ``if TYPE_CHECKING:``."""
    blocks = [n for n in _nodes(source) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    return {node for block in blocks for statement in block.body for node in ast.walk(statement)}


def _absolute(parts: Parts, line: int, name: str, runs: bool) -> Import:
    ours = parts[0] == "holdfast"
    return Import(line, parts[1:] if ours else parts, ours, False, name, runs)


def imports(relative_path: str, source: str) -> Iterator[Import]:
    """All imports of a file, those inside functions and constant ``import_module("...")`` included."""
    _, package = module_of(relative_path)
    typing_only = _typing_only(source)
    for node in _nodes(source):
        runs = node not in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _absolute(tuple(alias.name.split(".")), node.lineno, alias.asname or alias.name, runs)
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                if node.level:
                    above = package[: len(package) - node.level + 1]
                    parts = (*above, *base, alias.name)
                    yield Import(node.lineno, parts, True, True, alias.asname or alias.name, runs)
                else:
                    yield _absolute((*base, alias.name), node.lineno, alias.asname or alias.name, runs)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            target = node.args[0] if node.args else None
            if isinstance(target, ast.Constant) and isinstance(target.value, str) and target.value[:1] != ".":
                yield _absolute(tuple(target.value.split(".")), node.lineno, "", runs)


def _of_suites(file: Parts, target: Parts) -> str | None:
    if file[1:2] == ("cli",) and not any(target[1 : len(allowed) + 1] == allowed for allowed in FOR_CLI):
        return "suites.cli calls suites.api alone, and what shows its answers"
    if target[0] != "suites" or len(target) < 2 or len(file) < 2:
        return None
    own, other = file[1], target[1]
    if own in LAYERS and other in LAYERS and own != other and other not in LAYERS[own]:
        return f"suites.{own} does not import suites.{other}"
    return None


def _of_methods(file: Parts, target: Parts) -> str | None:
    if target[0] == "datasets" and target[:2] != ("datasets", "core"):
        return "methods import of datasets nothing but datasets.core"
    if target[0] in ("suites", "analysis"):
        return f"methods do not import {target[0]}"
    if target[0] != "methods" or len(target) < 2 or len(file) < 3:
        return None
    own, other = file[1], target[1]
    if own == other:
        return None
    if other not in SHARED_METHODS:
        return f"methods.{own} does not import the family methods.{other}"
    if own not in SHARED_METHODS - {"continual"} and other not in FOR_FAMILIES:
        return f"a family of methods does not import methods.{other}"
    return None


def _of_datasets(file: Parts, target: Parts) -> str | None:
    if target[0] in ("suites", "methods", "analysis"):
        return f"datasets do not import {target[0]}"
    if target[0] != "datasets" or len(target) < 2 or len(file) < 3 or file[1] == target[1]:
        return None
    if target[1] not in SHARED_DATASETS:
        return f"datasets.{file[1]} does not import the family datasets.{target[1]}"
    if file[1] == "core":
        return f"datasets.core does not import datasets.{target[1]}"
    return None


def _of_analysis(file: Parts, target: Parts) -> str | None:
    if target[:2] == ("datasets", "core"):
        return None
    if target[0] == "datasets":
        return "analysis imports of datasets nothing but datasets.core"
    return f"analysis does not import {target[0]}" if target[0] != "analysis" else None


def _of_losses(file: Parts, item: Import) -> str | None:
    if file[:2] != ("methods", "losses") or len(file) < 3:
        return None
    if item.ours:
        allowed = item.parts[:3] == ("methods", "losses", "numerics")
    else:
        allowed = item.parts[0] in FOR_LOSSES | sys.stdlib_module_names
    return None if allowed else "a loss imports torch and numerics alone"


def _of_libraries(file: Parts, library: str) -> str | None:
    home = file[:2] == ("methods", "training") or file == ("datasets", "core", "streams")
    if library == "avalanche" and not home:
        return "Avalanche is imported in methods.training and datasets.core.streams alone"
    if library in SUITES_ALONE and file[0] != "suites":
        return f"{library} is imported in suites alone"
    return None


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _private_names(item: Import, source: str) -> Iterator[tuple[int, str]]:
    """Private names of our other files: imported, or reached through an imported module."""
    if any(_is_private(part) for part in item.parts):
        yield item.line, ".".join(item.parts)
        return
    for line, owner, name in _private_attributes(source):
        if owner == item.name:
            yield line, f"{owner}.{name}"


@functools.cache
def _is_module(parts: Parts) -> bool:
    path = ROOT.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").is_file()


RULES = {"suites": _of_suites, "methods": _of_methods, "datasets": _of_datasets, "analysis": _of_analysis}


def violations(relative_path: str, source: str) -> list[str]:
    """What a file breaks of the rules, ``PATH:LINE: message`` each."""
    file, _ = module_of(relative_path)
    broken: list[tuple[int, str | None]] = []
    for item in imports(relative_path, source):
        if item.ours:
            if file[0] in RULES and item.parts:
                broken.append((item.line, RULES[file[0]](file, item.parts)))
            if file[0] in RULES and not item.relative:
                broken.append((item.line, "inside the package imports are relative"))
            if any(_is_private(part) for part in item.parts) or _is_module(item.parts):
                for line, name in _private_names(item, source):
                    broken.append((line, f"the private name {name} crosses a file"))
        elif file[0] in RULES:
            broken.append((item.line, _of_libraries(file, item.parts[0])))
        elif item.parts[0] in PACKAGES:
            broken.append((item.line, f"a test imports holdfast.{item.parts[0]}, not {item.parts[0]}"))
        broken.append((item.line, _of_losses(file, item)))
    return [f"{relative_path}:{line}: {text}" for line, text in dict.fromkeys(broken) if text]


def circles(sources: Mapping[str, str]) -> list[list[str]]:
    """Circles of modules that import each other when they run, at the top of a file or in a function.

    Each is broken at one import and the search goes on, so that there are as many as imports to remove.
    """
    names = {".".join(module_of(path)[0]) for path in sources}
    graph: dict[str, set[str]] = {}
    for path, source in sources.items():
        own = ".".join(module_of(path)[0])
        targets = graph.setdefault(own, set())
        for item in imports(path, source):
            full, base = ".".join(item.parts), ".".join(item.parts[:-1])
            target = full if full in names else base
            if item.ours and item.runs and target in names and target != own:
                targets.add(target)
    found: list[list[str]] = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
            return found
        except graphlib.CycleError as error:
            circle = [str(name) for name in error.args[1]]  # each is imported by the next
            found.append(circle[::-1])
            graph[circle[1]].discard(circle[0])


def tree(*folders: str) -> dict[str, str]:
    """Path → source of every Python file under the folders of the project."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_every_file_keeps_the_rules(folder: str) -> None:
    sources = tree(folder)
    assert sources
    broken = [line for path, source in sources.items() for line in violations(path, source)]
    assert not broken, "\n".join(broken)


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circles(tree(*PACKAGES))
    assert not found, "\n".join(" -> ".join(circle) for circle in found)


PLANTED = [
    ("methods/cdvg/x.py", "from ...suites.config import recipe", "methods do not import suites"),
    ("methods/base.py", "from ..analysis.metrics import groups", "methods do not import analysis"),
    ("methods/cdvg/x.py", "from ...datasets.readers import images", "nothing but datasets.core"),
    ("methods/networks/x.py", "from ...datasets import spoken", "nothing but datasets.core"),
    ("methods/cdvg/x.py", "def f():\n    from ..coconut.coconut import Coconut", "the family methods.coconut"),
    ("methods/continual/x.py", "from ..supremix import mixup", "the family methods.supremix"),
    ("methods/networks/x.py", "from ..cdvg.views import Views", "the family methods.cdvg"),
    ("methods/cdvg/x.py", "from ..training.strategy import MethodStrategy", "does not import methods.training"),
    ("methods/losses/x.py", "from .supcon import supcon", "torch and numerics alone"),
    ("methods/losses/x.py", "import sklearn", "torch and numerics alone"),
    ("methods/losses/x.py", "from ..base import Method", "torch and numerics alone"),
    ("datasets/core/x.py", "from ...suites import config", "datasets do not import suites"),
    ("datasets/core/x.py", "from ...methods.base import Batch", "datasets do not import methods"),
    ("datasets/core/x.py", "from ..readers.images import Array", "datasets.core does not import datasets.readers"),
    ("datasets/cdvg/x.py", "from ..coconut.speech import finish", "the family datasets.coconut"),
    ("datasets/transforms/x.py", "from ..coconut.speech import finish", "the family datasets.coconut"),
    ("analysis/metrics/x.py", "from ...datasets.cdvg import cmnist", "nothing but datasets.core"),
    ("analysis/x.py", "from ..suites.config.errors import Fault", "analysis does not import suites"),
    ("analysis/x.py", "if TYPE_CHECKING:\n    from ..methods.base import Method", "analysis does not import methods"),
    ("methods/cdvg/x.py", "from avalanche.training import Naive", "methods.training and datasets.core.streams alone"),
    ("suites/runtime/x.py", "import avalanche.core", "methods.training and datasets.core.streams alone"),
    ("analysis/x.py", "import mlflow", "mlflow is imported in suites alone"),
    ("methods/base.py", "from optuna import Trial", "optuna is imported in suites alone"),
    ("datasets/core/x.py", "import typer", "typer is imported in suites alone"),
    ("suites/cli/x.py", "from ..runtime import folders", "suites.cli calls suites.api alone"),
    ("suites/cli/x.py", "from ..config import registry", "suites.cli calls suites.api alone"),
    ("suites/cli/x.py", "from ...datasets.core import cache", "suites.cli calls suites.api alone"),
    ("suites/config/x.py", "from ..runtime import build", "suites.config does not import suites.runtime"),
    ("suites/tracking/x.py", "from ..runtime.folders import y", "suites.tracking does not import suites.runtime"),
    ("suites/runtime/x.py", "from ..sweeps import search", "suites.runtime does not import suites.sweeps"),
    ("suites/reports/x.py", "from ..sweeps import outcome", "suites.reports does not import suites.sweeps"),
    ("suites/sweeps/x.py", "from ..cli.shared import Out", "suites.sweeps does not import suites.cli"),
    ("suites/api.py", "from .cli import app", "suites.api does not import suites.cli"),
    ("suites/sweeps/x.py", "from holdfast.suites.config import recipe", "imports are relative"),
    ("suites/sweeps/x.py", 'importlib.import_module("holdfast.suites.config")', "imports are relative"),
    ("methods/cdvg/x.py", "from .views import _project", "the private name methods.cdvg.views._project"),
    ("methods/cdvg/x.py", "from . import views\nviews._project()", "the private name views._project"),
    ("tests/test_x.py", "from holdfast.methods.cdvg.views import _project", "the private name"),
    ("tests/test_x.py", "from methods.base import Method", "a test imports holdfast.methods"),
]


@pytest.mark.parametrize(("path", "source", "message"), PLANTED)
def test_a_planted_violation_is_named(path: str, source: str, message: str) -> None:
    (line,) = violations(path, source)
    assert line.startswith(f"{path}:")
    assert message in line


KEPT = [
    ("suites/cli/x.py", "import typer\nfrom .. import api\nfrom ..reports import compare"),
    ("suites/tracking/x.py", "import mlflow\nfrom ..config.errors import Fault"),
    ("methods/cdvg/x.py", "import torch\nfrom ..continual.er import ER\nfrom ...datasets.core.table import Batch"),
    ("methods/training/x.py", "import avalanche\nfrom ..base import Method\nfrom .. import base"),
    ("datasets/cdvg/x.py", "from ..readers.images import Array\nfrom . import cmnist\nself._x = cmnist.load"),
    ("datasets/cdvg/x.py", "from ..transforms.corruptions import corrupt"),
    ("methods/losses/x.py", "import math\nimport numpy as np\nfrom .numerics import zero"),
    ("tests/test_x.py", "import avalanche\nfrom holdfast.methods import base"),
]


@pytest.mark.parametrize(("path", "source"), KEPT)
def test_what_keeps_the_rules_is_not_named(path: str, source: str) -> None:
    assert violations(path, source) == []


def test_a_circle_is_found_at_the_top_and_in_a_function_and_not_among_types() -> None:
    pair = {"suites/runtime/a.py": "from .b import x", "suites/runtime/b.py": "def f():\n    from . import a"}
    (found,) = circles(pair)
    assert set(found) == {"suites.runtime.a", "suites.runtime.b"}
    types = {"suites/runtime/a.py": "from .b import x", "suites/runtime/b.py": "if TYPE_CHECKING:\n    from . import a"}
    assert circles(types) == []
