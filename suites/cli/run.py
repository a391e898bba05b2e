"""``suites run`` and ``suites resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
from .sweep import show_study

if TYPE_CHECKING:
    from ..api import Results

Workers = Annotated[int, typer.Option("--workers", min=1, help="Runs at a time, each in a process of its own.")]
Method = Annotated[
    list[str] | None,
    typer.Option("--method", "--methods", help="Only this method; may be repeated, or names with commas."),
]
Dial = Annotated[
    list[str] | None,
    typer.Option(
        "--dial",
        metavar="NAME=VALUE:VALUE...",
        help="Run a grid over a number among data.options, with others, methods and seeds; may be repeated.",
    ),
]


def run(
    target: Annotated[str, Suite],
    overrides: Overrides = None,
    profile: ProfileOption = None,
    method: Method = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="One seed (default 0).")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, max=10_000, help="Seeds 0..N-1.")] = None,
    device: Device = "auto",
    data_root: Root = None,
    out: Out = None,
    tracking_uri: TrackingUri = None,
    workers: Workers = 1,
    engine: EngineName = "local",
    address: Address = None,
    into: Annotated[
        str | None, typer.Option("--into", metavar="INVOCATION|last", help="Add only what this one lacks.")
    ] = None,
    best_of: Annotated[
        str | None, typer.Option("--best-of", metavar="STUDY", help="Fields tuned on another data set of the family.")
    ] = None,
    dial: Dial = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run; start nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Run a grid of more than 500 points.")] = False,
    json: Json = False,
) -> None:
    """Run a suite. Example: suites run coconut_slurp --seeds 3 methods.coconut.temperature=0.2"""
    if seed is not None and seeds is not None:
        raise Fault.usage("--seed and --seeds exclude each other", "run", "--seeds N runs the seeds 0..N-1")
    asked: dict[str, Any] = {
        "methods": [name for text in method or [] for name in text.split(",") if name],
        "seeds": seeds or [seed or 0],
        "profile": profile,
        "overrides": overrides or [],
        "data_root": data_root,
        "out": out,
        "device": device,
        "workers": workers,
    }
    console = console_of(json)
    where: dict[str, Any] = {"tracking_uri": tracking_uri, "engine": engine, "address": address}
    more: dict[str, Any] = {"into": into, "best_of": best_of}
    others = {"--into": into is not None, "--best-of": best_of is not None}
    if dry_run:
        _alone("--dry-run", others)
    if dial:
        _alone("--dial", {"--dry-run": dry_run, **others})
    with console.waiting(f"{target}: reading the recipe"):
        from .. import api

        if dial:
            grid = api.start_grid(target, dial, many=yes, tracking_uri=tracking_uri, **asked)
            done = api.run_study(grid, workers=workers, engine=engine, address=address, console=console)
        elif dry_run:
            plan = api.dry_run(target, **asked)
        else:
            results = api.run(target, **asked, **where, **more, console=console)
    if dial:
        return show_study(done, console, json)
    return _show_plan(*plan, json) if dry_run else _show_results(results, console, json)


def _alone(option: str, others: dict[str, bool]) -> None:
    """Raises Fault where an option was given with one that it excludes."""
    for other in (name for name, given in others.items() if given):
        raise Fault.usage(f"{other} and {option} exclude each other", "run", "leave one of the two out")


def resume(
    target: Annotated[str, typer.Argument(metavar="INVOCATION|RUN|STUDY|last")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs or trials at a time.")] = 1,
    engine: EngineName = "local",
    address: Address = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Finish what was stopped or killed. Example: suites resume last"""
    console = console_of(json)
    where: dict[str, Any] = {"workers": workers, "engine": engine, "address": address, "console": console}
    with console.waiting(f"{target}: reading what is there"):
        from .. import api

        study = api.study_of(target, out)
        done: Any = api.resume(target, out=out, **where) if study is None else api.run_study(study, **where)
    return _show_results(done, console, json) if study is None else show_study(done, console, json)


def _show_results(results: Results, console: Any, json: bool) -> None:
    """The table at the end of a run."""
    if json:
        return print_json(results.document)
    from ..reports import reported, tables

    assert results.recipe is not None
    assert results.document is not None
    console.table(*tables.of_runs(results.recipe, results.document))
    for table in reported.tables(reported.beside(results.recipe, results.document)):
        console.table(*table)
    for label, text in tables.explained(results.recipe, results.document):
        console.paragraph(label, text)
    for line in tables.below(results.document):
        console.line(line)
    return None


def _show_plan(recipe: Any, document: dict[str, Any], json: bool) -> None:
    if json:
        return print_json(document)
    from ..reports import tables

    console = console_of(False)
    console.line(tables.text_of(recipe))
    console.line(tables.data_of_plan(document))
    console.table(*tables.of_plan(document))
    return None
