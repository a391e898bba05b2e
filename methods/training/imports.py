"""The training loop's library, imported without what it takes along and a run does not use.

Avalanche imports qpsolvers, which imports jax where that is installed; and its own classic benchmarks with all their
data sets, most of the time that it takes. Those are loaded when somebody asks for one of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = __name__.partition(".")[0]
BENCHMARKS = "avalanche.benchmarks"
CLASSIC = f"{BENCHMARKS}.classic"
LATER = (
    "wandb",
    "torchmetrics",
    "torchmetrics.functional",
)  # they bring transformers, scipy.signal


def import_streams() -> None:
    """Import Avalanche by way of our streams, once and quickly; what was imported before stays as it is."""
    if "avalanche" not in sys.modules:
        finder = _Later()
        sys.meta_path.insert(0, finder)
        try:
            with hidden("jax"), later(*LATER):
                importlib.import_module(f"{PACKAGE}.datasets.core.streams")
        finally:
            sys.meta_path.remove(finder)


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Inside, ``import name`` fails as where the package is not installed; afterwards it is there again."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def later(*names: str) -> Iterator[None]:
    """Inside, ``import name`` (and ``from name import function``) gives what imports the package when it is used.

    Who imports it afterwards gets the package itself. Nothing changes for one that is there already or not at all.
    """
    absent = [name for name in names if name not in sys.modules]
    made = {name: _StandIn(name) for name in absent if importlib.util.find_spec(name.partition(".")[0]) is not None}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _StandIn(ModuleType):
    """A module whose attributes are those of the real one, which is imported for the first of them."""

    def __getattr__(self, name: str) -> Any:
        own = self.__name__
        if name in ("__path__", "__file__"):
            raise AttributeError(name)
        if sys.modules.get(own) is not self:
            return getattr(importlib.import_module(own), name)
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(own), name)(*arguments, **options)

        return function


class _Later:
    """Finds Avalanche's classic benchmarks, and loads them when one is asked for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != CLASSIC:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Makes the module with its path (so that its parts can be imported by name) and nothing in it.

    The package above it gets the names too, as its ``from .classic import *`` would give them.
    """

    def __init__(self, loader: Any) -> None:
        self.loader, self.lock, self.loading = loader, threading.RLock(), False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Avalanche's modules import each other in a circle that works in one order: the one that these bring about
        importlib.import_module("avalanche.models")
        importlib.import_module("avalanche.evaluation.metrics")
        above = sys.modules[BENCHMARKS]

        def load(name: str) -> Any:
            if name.startswith("__") or importlib.util.find_spec(f"{BENCHMARKS}.{name}") is not None:
                raise AttributeError(f"module has no attribute '{name}'")
            with self.lock:
                if not self.loading:
                    self.loading = True
                    with hidden("jax"):
                        self.loader.exec_module(module)
                    for part in (module, above):
                        part.__dict__.pop("__getattr__", None)
                    public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
                    vars(above).update({key: value for key, value in public.items() if key not in vars(above)})
            try:
                return vars(module)[name]
            except KeyError:
                raise AttributeError(f"module '{BENCHMARKS}' has no attribute '{name}'") from None

        for part in (module, above):
            vars(part)["__getattr__"] = load
