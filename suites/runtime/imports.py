"""The training loop's library, imported without two packages that it takes along and that nothing here uses:
about a fifth of its time.

Avalanche imports qpsolvers, which imports jax where that is installed, and wandb, which it needs for one kind of
logger.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = __name__.partition(".")[0]


def import_streams() -> None:
    """Import Avalanche by way of our streams, once and quickly; what was imported before stays as it is."""
    if "avalanche" not in sys.modules:
        lazy("wandb")
        with hidden("jax"):
            importlib.import_module(f"{PACKAGE}.datasets.core.streams")


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


def lazy(name: str) -> None:
    """Let ``import name`` give a module that is loaded when something of it is asked for; nothing where it is not
    installed."""
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
