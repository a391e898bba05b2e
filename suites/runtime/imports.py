"""The training loop's library, imported without a package that it takes along and that nothing here uses.

Avalanche imports qpsolvers, which imports jax where that is installed.
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
