"""An invocation that grows: more methods and seeds of its recipe are added to its plan, and what is missing is run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config import catalog
from ..config.documents import flat
from ..config.errors import Fault
from ..config.recipe import Recipe, digest, to_yaml
from ..tracking.store import to_store
from . import folders, recipes
from .plan import Invocation

# What a run's numbers do not depend on may change from one time to the next
FREE = ("title", "paper", "defaults", "claims", "reported", "tuned", "sweep", "unequal")
SHOWN = 6  # fields in a message


def opened(target: str | Path, out: Path) -> Invocation:
    """The invocation at a path, of a name under ``out``, or ``last``. Raises Fault for a trial of a study."""
    folder, _ = folders.find(str(target), out.resolve())
    invocation = Invocation(folder)
    if "trial" in invocation.plan:
        what = "this invocation is a trial of a study, whose runs the study chooses"
        raise Fault.usage(
            what, str(folder), f"more trials: suites sweep --resume {folder.parent.parent.name} --trials 20"
        )
    return invocation


def merged(invocation: Invocation, recipe: Recipe, device: str, tracking_uri: str | None) -> Recipe:
    """``recipe`` as the recipe of an invocation that is there, with the methods of both and its number of threads.

    Raises Fault, before anything is written, where runs of the two could not be compared: another suite, device,
    store, or a field that differs (methods that have no run yet are free).
    """
    plan, old, folder = invocation.plan, invocation.recipe, str(invocation.folder)
    if recipe.name != plan["suite"]:
        what = f"this invocation is of the suite {plan['suite']}, not of {recipe.name}"
        raise Fault.usage(what, folder, f"suites run {plan['suite']} --into {invocation.folder.name}")
    if device not in ("auto", plan["device"]):
        raise Fault.usage(f"its runs are on {plan['device']}, not on {device}", folder, f"--device {plan['device']}")
    if tracking_uri is not None and to_store(tracking_uri) != plan["tracking_uri"]:
        raise Fault.usage("its runs are in another MLflow store", folder, "leave --tracking-uri out")
    if recipe.train.threads == 0:
        recipe = recipes.apply(recipe, {"train.threads": old.train.threads})
    begun = {str(entry["method"]) for entry in plan["runs"]}
    before, now = _fixed(old, begun), _fixed(recipe, begun)
    differ = [path for path in {"profile": "", **before, **now} if before.get(path) != now.get(path)]
    if differ:
        each = [f"{path}: there {before.get(path, 'none')}, now {now.get(path, 'none')}" for path in differ[:SHOWN]]
        more = f" (and {len(differ) - SHOWN} more)" if len(differ) > SHOWN else ""
        what = f"the recipe is not that of this invocation: {'; '.join(each)}{more}"
        raise Fault.usage(what, folder, "repeat its overrides and --data-root, or leave --into out")
    both = recipe.model_copy(update={"methods": {**old.methods, **recipe.methods}})
    catalog.resolve(both)
    return both


def _fixed(recipe: Recipe, methods: set[str]) -> dict[str, str]:
    """Fields that runs of ``methods`` depend on, as texts by path."""
    document = recipe.model_dump(mode="json", by_alias=True, exclude=set(FREE))
    document["methods"] = {name: entry for name, entry in document["methods"].items() if name in methods}
    return {path.removeprefix("."): text for path, text in flat(document, "").items()}


def grown(invocation: Invocation, recipe: Recipe, methods: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Enter the runs that the plan lacks, under the folder's lock; the names of all runs that were asked for."""
    asked = [(method, seed) for seed in seeds for method in methods]
    git = folders.git_state()
    with _alone(invocation.folder):
        plan = folders.plan_of(invocation.folder)
        known = {(entry["method"], entry["seed"]): str(entry["folder"]) for entry in plan["runs"]}
        own = {} if git == plan["git"] else {"git": git}
        new: list[dict[str, Any]] = [
            {"method": method, "seed": seed, "folder": f"{method}-s{seed}", **own}
            for method, seed in asked
            if (method, seed) not in known
        ]
        if new:
            text = to_yaml(recipe)
            plan |= {"runs": [*plan["runs"], *new], "recipe": text, "recipe_digest": digest(recipe)}
            folders.write_json(invocation.folder / "invocation.json", plan)
    known |= {(entry["method"], entry["seed"]): entry["folder"] for entry in new}
    return [known[pair] for pair in asked]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time changes the plan in ``folder``; the lock is on the folder itself, and leaves no file."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
