"""What a caller asks of the Python API, in the form that the packages below take it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import catalog, sources
from ..config.errors import Fault
from ..config.recipe import Recipe
from . import recipes, warm_start
from .console import Console, Silent

MOST_RUNS = 10_000  # seeds of one invocation
LARGEST_SEED = 2**63 - 1  # what torch's generators take
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
    """The seeds that a count or a list of them means. Raises Fault for none, negative or equal ones, and for more or
    larger ones than an invocation takes."""
    if (seeds if isinstance(seeds, int) else len(seeds)) > MOST_RUNS:
        what = f"{seeds if isinstance(seeds, int) else len(seeds)} seeds: an invocation has at most {MOST_RUNS}"
        raise Fault.usage(what, "seeds", "suites run NAME --seeds 5; more can be added with --into")
    listed = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if listed and max(listed) > LARGEST_SEED:
        raise Fault.usage(f"no seed: {max(listed)}", "seeds", f"a number from 0 to {LARGEST_SEED}")
    if not listed or min(listed) < 0 or len(set(listed)) < len(listed):
        raise Fault.usage(f"no seeds: {seeds}", "seeds", "a count from 1 on, or different numbers from 0 on")
    return listed


def out_of(out: str | Path | None) -> Path:
    """The folder of the runs: ``out``, else ``HOLDFAST_RUNS``, else ``./runs``. Raises Fault for a path that no store
    and no JSON file can hold, and for links that lead to each other."""
    path = Path(out or os.environ.get("HOLDFAST_RUNS") or "runs")
    next_step = "choose another folder with --out DIR or HOLDFAST_RUNS"
    try:
        str(path).encode()
        path.resolve()
    except UnicodeEncodeError as error:
        raise Fault.usage("the path of the runs is no text in UTF-8", ascii(str(path)), next_step) from error
    except (OSError, RuntimeError, ValueError) as error:  # Python 3.11 raises RuntimeError for a loop
        raise Fault.usage(f"the folder of the runs cannot be found: {error}", ascii(str(path)), next_step) from error
    return path


def recipe(target: str | Path, profile: str | None, overrides: Overrides, data_root: str | Path | None) -> Recipe:
    """The checked recipe of a suite's name or of a file. Raises Fault with all that is wrong with it."""
    read = catalog.recipe(str(target), profile, texts(overrides))
    if data_root is not None:
        data = read.data.model_copy(update={"root": str(existing(data_root))})
        read = read.model_copy(update={"data": data})
    catalog.resolve(read)
    return read


def recipe_to_run(
    target: str | Path,
    profile: str | None,
    overrides: Overrides,
    data_root: str | Path | None,
    out: str | Path | None,
    device: str = "auto",
    workers: int = 1,
) -> Recipe:
    """The checked recipe as it is run: the profile ``demo`` of a suite, the full path of ``model.weights``, and, of
    several workers, a number of threads (recorded: a run's numbers belong to it)."""
    if device not in ("auto", "cpu", "cuda"):
        what = f"unknown device '{device}' (there are: auto, cpu, cuda)"
        raise Fault.usage(what, "--device", "--device auto")
    name = str(target)
    read = recipe(name, profile or (None if sources.is_file(name) else "demo"), overrides, data_root)
    read = warm_start.located(read, out_of(out))
    if workers > 1 and read.train.threads == 0:
        read = recipes.apply(read, {"train.threads": max(1, (os.cpu_count() or 1) // workers)})
    return read


def console(verbose: bool) -> Console:
    """Where progress and warnings go: the terminal, or (not ``verbose``) the logger ``holdfast``."""
    return Console() if verbose else Silent()
