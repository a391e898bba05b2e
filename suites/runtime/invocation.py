"""Start an invocation (several methods and seeds of one recipe), and finish one that was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import registry, run_files
from ..config.errors import Fault
from ..config.recipe import Recipe, digest, to_yaml
from ..tracking.files import remove_parts
from ..tracking.store import resolve_uri, to_store
from . import build, extend, folders, jobs, recipes, remove, summary
from . import warm_start as weights
from .board import Board, shown
from .execution import proceed, refuses
from .executors import HERE, Workers
from .plan import Invocation

if TYPE_CHECKING:
    from ...datasets.core.source import Source
    from .console import Console


def start(
    recipe: Recipe,
    *,
    methods: Sequence[str],
    seeds: Sequence[int],
    device: str,
    out: Path,
    tracking_uri: str | None,
    console: Console,
    workers: Workers = HERE,
    into: Invocation | None = None,
) -> Invocation:
    """Start an invocation of a resolved recipe, or add the runs that are missing ``into`` one that is there, and run
    it to its end. Raises Fault before anything is written where it cannot be."""
    out = out.resolve()
    if into is not None:
        recipe, device = extend.merged(into, recipe, device, tracking_uri), into.plan["device"]
    with console.progress(f"{recipe.name}: loading libraries, preparing data") as tick:
        device = build.device_of(device)
        resolve_uri(out, tracking_uri)  # an address that cannot be read leaves nothing behind
        source = _prepare(recipe, tick)
        build.check_methods(recipe, methods, source)
        weights.check(recipe, methods, seeds, source)
        streams = build.Streams(recipe, source)
        for joint in {registry.kind_of(recipe, m).uses_union for m in methods}:
            streams.of(seeds[0], joint)  # streams that cannot be leave nothing behind
    if into is not None:
        _check_as_it_was(into, source, f"suites run {recipe.name}, without --into", console)
        names = extend.grown(into, recipe, methods, seeds)
        return _run(Invocation(into.folder, recipe), names, streams, console, workers)
    plan = {
        "schema": 1,
        "suite": recipe.name,
        "profile": recipe.profile,
        "recipe": to_yaml(recipe),
        "recipe_digest": digest(recipe),
        "device": device,
        "tracking_uri": None if tracking_uri is None else to_store(tracking_uri),
        "data": build.facts_of(source),
        "git": folders.git_state(),
        "runs": [{"method": m, "seed": s, "folder": f"{m}-s{s}"} for s in seeds for m in methods],
    }
    invocation = Invocation(folders.new_invocation(out, recipe.name, plan), recipe)
    try:
        return _run(invocation, None, streams, console, workers)
    except BaseException as error:
        begun = any(invocation.folder.glob("*/checkpoint/*.json"))
        if refuses(error) and not begun:
            remove.target_of(invocation.folder, out).carry_out()
        raise


def resume(target: str, *, out: Path, console: Console, workers: Workers = HERE) -> Invocation:
    """Finish what is unfinished of an invocation or a run; where nothing is, it stays as it is.

    Raises Fault where the data is not what it was, and for everything that a run raises.
    """
    folder, names = folders.find(target, out.resolve())
    invocation = Invocation(folder)
    for place in (invocation.out, folder, *(folder / name for name in names)):
        remove_parts(place)  # a process killed at its very end leaves some beside runs that are whole
    plan = folders.plan_of(folder, run_files.Resumable)
    if all(folders.status(folder / name) == "finished" for name in names):
        return invocation
    recipe = invocation.recipe
    recipes.check_code(recipe)
    with console.progress(f"{recipe.name}: loading libraries, preparing data") as tick:
        build.device_of(plan["device"])
        source = _prepare(recipe, tick)
    _check_as_it_was(invocation, source, f"suites run {recipe.name}", console)
    return _run(invocation, names, build.Streams(recipe, source), console, workers)


def _check_as_it_was(invocation: Invocation, source: Source, anew: str, console: Console) -> None:
    """Other code than the invocation was started with is a warning; other data is a Fault."""
    plan, now = invocation.plan, folders.git_state()
    if plan["git"] != now:
        what = f"the code changed since this was started: then {plan['git']}, now {now}"
        console.warning(f"{invocation.folder.name}: {what}")
    if source.checksum != plan["data"]["checksum"]:
        what = "the data is not what this invocation was started on (its checksum differs)"
        next_step = f"put the data back as it was, or start anew with: {anew}"
        raise Fault.data(what, str(invocation.folder), next_step)


def _run(
    invocation: Invocation, names: list[str] | None, streams: build.Streams, console: Console, workers: Workers
) -> Invocation:
    """On several workers where there are, then here what is left."""
    with shown(_board(invocation, names, workers), console):
        if not workers.here:
            jobs.run_grid(invocation, names, console, workers)
        proceed(invocation, names, streams, console)
        with console.progress("the summary goes to MLflow"):
            problem = summary.deliver(invocation)
    if problem:
        what = f"the summary is not in MLflow yet ({problem})"
        console.warning(f"{invocation.folder.name}: {what}: suites sync {invocation.folder}")
    return invocation


def _board(invocation: Invocation, names: list[str] | None, workers: Workers) -> Board:
    """Of the runs that are asked for; those that have ended before count as such."""
    asked = [entry["folder"] for entry in invocation.plan["runs"] if names is None or entry["folder"] in names]
    profile = f" ({invocation.recipe.profile})" if invocation.recipe.profile else ""
    board = Board(f"{invocation.recipe.name}{profile}", len(asked), min(workers.count, max(1, len(asked))))
    board.states |= {n: s for n in asked if (s := folders.status(invocation.folder / n)) in folders.ENDED}
    return board


def _prepare(recipe: Recipe, tick: Callable[[int, int], None]) -> Source:
    build.use_threads(recipe)
    return build.prepare(recipe, tick)
