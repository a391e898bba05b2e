"""Methods, data sets, networks and problems by name. They are found by path; only what a recipe names is imported.

A built-in method is ``methods/<family>/<stem>.py`` with a line ``METHOD = <class>``, a data set
``datasets/<family>/<stem>.py`` with ``load``, a network ``methods/networks/<stem>.py`` with ``build``, a problem
``analysis/problems/<stem>.py`` with ``PROBLEM``, a transform of rows ``datasets/transforms/<stem>.py`` with
``transform``. Others are entry points of installed packages (groups ``holdfast.methods``, ``.datasets``, ``.networks``,
``.problems``, ``.transforms``), named ``name`` or ``family/name``.
"""

from __future__ import annotations

import functools
import importlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Literal

from . import scratch
from .documents import suggestion
from .errors import Fault

if TYPE_CHECKING:
    from types import ModuleType

    from ...analysis.problems.evaluator import Evaluator
    from ...methods.base import Method
    from .recipe import Recipe

PACKAGE = __name__.partition(".")[0]
Kind = Literal["methods", "datasets", "networks", "problems", "transforms"]


@dataclass(frozen=True)
class _Location:
    """Where the built-in ones of a kind lie and what a file of theirs defines."""

    package: str
    families: bool
    marker: str
    needs: tuple[str, ...]
    word: str
    where: str
    apart: frozenset[str] = frozenset()  # folders that hold none


_NO_METHODS, _NO_DATA = (
    frozenset({"training", "losses", "networks"}),
    frozenset({"core", "readers", "spoken", "transforms"}),
)
LOCATIONS: dict[Kind, _Location] = {
    "methods": _Location("methods", True, r"^METHOD = ", ("METHOD",), "method", "methods", _NO_METHODS),
    "datasets": _Location("datasets", True, r"^def load\(", ("Config", "load"), "data set", "data.name", _NO_DATA),
    "networks": _Location("methods.networks", False, r"^def build\(", ("Config", "build"), "network", "model.name"),
    "problems": _Location("analysis.problems", False, r"^PROBLEM = ", ("PROBLEM",), "problem", "problem"),
    "transforms": _Location(
        "datasets.transforms", False, r"^def transform\(", ("Config", "transform"), "transform", "data.transforms"
    ),
}
SHARED = "continual"  # the family whose methods any recipe may name by their stem


@dataclass(frozen=True)
class Entry:
    """One thing of the registry: its full name, where it is from, and its module and file, or its entry point."""

    name: str
    origin: str
    module: str | None = None
    file: Traversable | None = None
    point: metadata.EntryPoint | None = None


@functools.cache
def _built_in(kind: Kind) -> dict[str, Entry]:
    """Full name -> entry, by the files of the package; nothing is imported."""
    location = LOCATIONS[kind]
    root = resources.files(f"{PACKAGE}.{location.package}")
    folders = [("", root)]
    if location.families:
        folders = [
            (f"{f.name}/", f) for f in root.iterdir() if f.is_dir() and f.name not in location.apart | {"__pycache__"}
        ]
    marker, by_name = re.compile(location.marker, re.MULTILINE), {}
    for prefix, folder in folders:
        for file in folder.iterdir():
            if file.name.endswith(".py") and marker.search(file.read_text(encoding="utf-8")):
                name = prefix + file.name.removesuffix(".py")
                by_name[name] = Entry(
                    name, PACKAGE, module=f"{PACKAGE}.{location.package}.{name.replace('/', '.')}", file=file
                )
    return dict(sorted(by_name.items()))


def entry_points(group: str) -> list[metadata.EntryPoint]:
    """Entry points of ``holdfast.<group>`` of all installed packages."""
    return _read_entry_points(metadata.entry_points, f"{PACKAGE}.{group}")


@functools.lru_cache(maxsize=16)
def _read_entry_points(reader: Callable[..., Any], group: str) -> list[metadata.EntryPoint]:
    """Reading those of every installed package takes 10 ms, once a process."""
    return list(reader(group=group))


def load_foreign(point: metadata.EntryPoint) -> Any:
    """What another package's entry point defines. Its import may fail in any way, and may not end the program:
    ImportError where it exits or raises KeyboardInterrupt by itself. Ctrl-C still stops.
    """
    pressed: list[int] = []

    def stop(number: int, frame: Any) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    owned = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, stop) if owned else None
    try:
        return point.load()
    except (SystemExit, KeyboardInterrupt) as error:
        if pressed or (not owned and isinstance(error, KeyboardInterrupt)):
            raise
        raise ImportError(f"it ends the program where it is imported ({type(error).__name__})") from error
    finally:
        if owned:
            signal.signal(signal.SIGINT, before)


def origin(point: metadata.EntryPoint) -> str:
    """The package that an entry point is from."""
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


def entries(kind: Kind) -> list[Entry]:
    """Everything of a kind, two of one name included; built-in ones first."""
    return [*_built_in(kind).values(), *(Entry(p.name, origin(p), point=p) for p in entry_points(kind))]


def candidates(name: str, family: str) -> tuple[str, ...]:
    """The full names that ``name`` may mean in a recipe of ``family``."""
    return (name,) if "/" in name else tuple(dict.fromkeys((f"{family}/{name}", f"{SHARED}/{name}", name)))


def find(kind: Kind, name: str, family: str = "") -> Entry:
    """The one entry that ``name`` means. Raises Fault (recipe) where there is none, or more than one."""
    location, every = LOCATIONS[kind], entries(kind)
    fitting = [entry for entry in every if entry.name in candidates(name, family)]
    if len(fitting) > 1:
        raise Fault.recipe(
            f"two {location.word}s are called '{name}': " + " and ".join(f"{e.name} of {e.origin}" for e in fitting),
            location.where,
            "remove one of the packages, or write the full name of the one that is meant",
        )
    if not fitting:
        elsewhere = [e.name for e in every if e.name.endswith(f"/{name}")]
        hint = f" (there is {' and '.join(elsewhere)})" if elsewhere else suggestion(name, _names(every, family))
        raise Fault.recipe(f"unknown {location.word} '{name}'{hint}", location.where, f"suites list {kind}")
    return fitting[0]


def _names(every: Iterable[Entry], family: str) -> set[str]:
    """Full names, and the stems that a recipe of ``family`` may use."""
    full = {entry.name for entry in every}
    return full | {name.rpartition("/")[2] for name in full if name.partition("/")[0] in (family, SHARED)}


def _load(kind: Kind, name: str, family: str) -> Any:
    """What the entry defines, imported. Raises Fault where a third party's is broken or lacks a part."""
    if scratch.reference(name) is not None:
        return _of_file(kind, name)
    entry, location = find(kind, name, family), LOCATIONS[kind]
    if entry.module is not None:
        return importlib.import_module(entry.module)
    assert entry.point is not None
    try:
        given = load_foreign(entry.point)
    except Exception as error:  # a third party's fault must not be ours
        what = f"the {location.word} '{entry.name}' of {entry.origin} cannot be imported ({entry.point.value})"
        reason = f"{type(error).__name__}: {error}"
        raise Fault.recipe(
            f"{what}: {reason}", location.where, f"correct or remove the package {entry.origin}"
        ) from error
    lacks = [part for part in location.needs if not hasattr(given, part)] if not isinstance(given, type) else []
    if lacks:
        raise Fault.recipe(
            f"the {location.word} '{entry.name}' of {entry.origin} ({entry.point.value}) defines no {', '.join(lacks)}",
            location.where,
            "see docs/contracts.md, 'Your own package'",
        )
    return given


def _of_file(kind: Kind, name: str) -> Any:
    """What a file of the user's own defines: a method's class, or the module of a data set."""
    location, given = LOCATIONS[kind], scratch.load(name)
    lacks = [part for part in location.needs if not isinstance(given, type) and not hasattr(given, part)]
    if kind not in ("methods", "datasets") or lacks:
        what = f"{scratch.short(name)} defines no {', '.join(lacks)}" if lacks else f"no {location.word} is a file"
        raise Fault.recipe(what, location.where, "suites new method NAME, or: suites new data NAME")
    return given


@functools.lru_cache(maxsize=512)
def method(name: str, family: str = "") -> type[Method]:
    """A method's class by full name, or by the stem that a recipe of ``family`` uses."""
    from ...methods.base import Method

    given = _load("methods", name, family)
    kind = given if isinstance(given, type) else given.METHOD
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise Fault.recipe(
            f"the method '{name}' is no class of {PACKAGE}.methods.base.Method: {kind!r}",
            "methods",
            "see docs/contracts.md",
        )
    return kind


def kind_of(recipe: Recipe, name: str) -> type[Method]:
    """The class of a method of the recipe: the one that its entry ``use`` names, else that of its own name."""
    return method(str(recipe.methods[name].get("use", name)), recipe.family)


def kinds(recipe: Recipe) -> dict[str, type[Method]]:
    """The class of every method of the recipe."""
    return {name: kind_of(recipe, name) for name in recipe.methods}


def _module(kind: Kind, name: str, family: str = "") -> ModuleType:
    given = _load(kind, name, family)
    module: ModuleType = sys.modules[given.__module__] if isinstance(given, type) else given
    return module


def dataset(name: str, family: str = "") -> ModuleType:
    """A data set's module: ``Config`` and ``load(config, root, progress) -> Source``."""
    return _module("datasets", name, family)


def network(name: str) -> ModuleType:
    """A network's module: ``Config`` and ``build(config, info, seed) -> nn.Module``."""
    return _module("networks", name)


def transform(name: str) -> ModuleType:
    """A transform's module: ``Config`` and ``transform(config, table, info, seed) -> Rows``."""
    return _module("transforms", name)


def problem(name: str) -> type[Evaluator]:
    """A problem's evaluator."""
    given = _load("problems", name, "")
    kind: type[Evaluator] = given if isinstance(given, type) else given.PROBLEM
    return kind
