"""What damages a tree of files, and a pickle that would run code."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Hostile:
    """A pickle of it would run a command on loading."""

    def __reduce__(self) -> Any:
        return os.system, ("touch opened",)


def unlink(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()
