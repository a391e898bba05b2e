"""``suites sweep``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..config.errors import Fault
from .shared import (
    Address,
    Device,
    EngineName,
    Json,
    Out,
    Overrides,
    ProfileOption,
    Root,
    Suite,
    TrackingUri,
    console_of,
    print_json,
)

Method = Annotated[list[str] | None, typer.Option("--method", help="The method that is tuned.")]
Trials = Annotated[int | None, typer.Option("--trials", min=1, help="Trials in all.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Trials at a time.")]
Storage = Annotated[
    str | None, typer.Option("--storage", help="URL of an Optuna database (default: a file in the study).")
]
Objective = Annotated[
    list[str] | None,
    typer.Option("--objective", help="METRIC[:min|max] of the validation stream; may be repeated."),
]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds after which no trial is begun.")]


def sweep(
    target: Annotated[str, Suite],
    overrides: Overrides = None,
    profile: ProfileOption = None,
    method: Method = None,
    trials: Trials = None,
    workers: Workers = 1,
    engine: EngineName = "local",
    address: Address = None,
    storage: Storage = None,
    study: Annotated[str | None, typer.Option("--study", help="The study's name.")] = None,
    objective: Objective = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="tpe, random, grid, cmaes or nsga2.")] = None,
    pruner: Annotated[str | None, typer.Option("--pruner", help="median, hyperband or none.")] = None,
    timeout: Timeout = None,
    again: Annotated[bool, typer.Option("--resume", help="Go on with the study of this name.")] = False,
    show_space: Annotated[
        bool, typer.Option("--show-space", help="Print what would be searched; start nothing.")
    ] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun-best", help="Run the best and the untuned recipe on fresh seeds.")
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=10_000, help="Fresh seeds of --rerun-best.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sampler and of every trial.")] = 0,
    device: Device = "auto",
    data_root: Root = None,
    out: Out = None,
    tracking_uri: TrackingUri = None,
    json: Json = False,
) -> None:
    """Tune a method of a suite with Optuna. Example: suites sweep coconut_slurp --profile smoke --trials 8 --workers
    2"""
    console = console_of(json)
    recipe: dict[str, Any] = {"profile": profile, "overrides": overrides or [], "data_root": data_root, "out": out}
    where: dict[str, Any] = {"workers": workers, "engine": engine, "address": address, "timeout": timeout}
    with console.waiting(f"{target}: reading the recipe"):
        from .. import api

        if show_space and not again:
            space = api.search_space(target, method or [], **recipe)
            console.settle()
            return _show_space(space, json)
        if again:
            if study is None:
                next_step = "--study NAME --resume, or: suites resume STUDY"
                raise Fault.usage("--resume needs the name of the study", "--resume", next_step)
            chosen = api.study_of(study, out, storage)
            if chosen is None:
                next_step = "leave --resume out to start it"
                raise Fault.usage(f"there is no study '{study}'", str(api.out_of(out)), next_step)
        else:
            search = api.Search(method or [], trials, sampler, pruner, objective or [], seed, study, storage)
            chosen = api.start_study(target, search, **recipe, device=device, tracking_uri=tracking_uri)
        more: dict[str, Any] = {"trials": trials if again else None, "rerun_seeds": seeds if rerun else 0}
        document = api.run_study(chosen, **more, **where, console=console)
    return show_study(document, console, json)


def _show_space(space: dict[str, str], json: bool) -> None:
    if json:
        return print_json(space)
    console_of(False).table("what is searched", ["field", "values"], [list(row) for row in space.items()])
    return None


def show_study(document: dict[str, Any], console: Any, json: bool) -> None:
    """The trials of a study and what came out; with ``json`` the warnings alone beside the document."""
    from ..sweeps import screen

    if "grid" in document:
        return _show_grid(document, console, json)
    warning = screen.tied(document)
    if warning:
        console.warning(warning)
    if json:
        return print_json(document)
    console.table(*screen.table(document))
    for line in screen.closing(document):
        console.line(line)
    return None


def _show_grid(document: dict[str, Any], console: Any, json: bool) -> None:
    """The losses of a grid at all strengths, how they change, and what they vary with."""
    if json:
        return print_json(document)
    from ..sweeps import screen

    for table in screen.grid_tables(document):
        console.table(*table)
    for sentence in screen.grid_sentences(document):
        console.paragraph("", sentence)
    return None
