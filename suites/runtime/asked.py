"""What a caller asks of the Python API, in the form that the packages below take it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.errors import Fault

Overrides = Mapping[str, Any] | Iterable[str]  # {"train.lr": 0.01}, or ["train.lr=0.01"]


def texts(overrides: Overrides) -> list[str]:
    """Overrides as texts ``path=value``. Raises Fault for one text alone."""
    if isinstance(overrides, str):
        raise Fault.usage("overrides are a mapping or a list of texts", "overrides", 'overrides={"train.lr": 0.01}')
    if isinstance(overrides, Mapping):
        return [f"{path}={json.dumps(value)}" for path, value in overrides.items()]
    return list(overrides)


def existing(data_root: str | Path) -> Path:
    """The whole path of a folder or file of data. Raises Fault where there is none."""
    path = Path(data_root)
    if not path.exists():
        next_step = "name the folder (or manifest file) of the real data"
        raise Fault.data("there is no such folder", str(path), next_step)
    return path.resolve()


def numbers(seeds: int | Sequence[int]) -> list[int]:
    """The seeds that a count or a list of them means. Raises Fault for none, negative or equal ones."""
    listed = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not listed or min(listed) < 0 or len(set(listed)) < len(listed):
        raise Fault.usage(f"no seeds: {seeds}", "seeds", "a count from 1 on, or different numbers from 0 on")
    return listed
