"""``suites verify``: do the claims of a suite hold?"""

from __future__ import annotations

from pathlib import Path
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
    TrackingUri,
    console_of,
    print_json,
    suites_beginning,
)

DOES_NOT_HOLD = 5  # exit code
Target = Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", autocompletion=suites_beginning)]


def verify(
    target: Target = None,
    overrides: Overrides = None,
    every: Annotated[bool, typer.Option("--all", help="Every suite that claims something.")] = False,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=2, max=10_000, help="Seeds 0..N-1 (default: as many as a claim asks for)."),
    ] = None,
    profile: ProfileOption = None,
    data_root: Root = None,
    out: Out = None,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs at a time.")] = 1,
    engine: EngineName = "local",
    address: Address = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="DIR", help="Where result files go (default: OUT/verified).")
    ] = None,
    json: Json = False,
) -> int | None:
    """Run what a suite's claims need and test each over seeds. Example: suites verify split_digits --seeds 5

    A claim holds, does not hold, or is undecided, with effect, 95 % interval, p, and the smallest difference that these
    seeds could have shown. Runs that are there are used. Exit code 5 where a claim does not hold.
    """
    if every == (target is not None):
        raise Fault.usage("name one suite, or --all", "verify", "suites verify split_digits")
    console = console_of(json)
    with console.waiting(f"{target or 'all suites'}: reading the claims"):
        from .. import api

        document = api.verify(
            target,
            seeds=seeds,
            profile=profile,
            overrides=overrides or [],
            data_root=data_root,
            out=out,
            device=device,
            tracking_uri=tracking_uri,
            workers=workers,
            engine=engine,
            address=address,
            record=record,
            console=console,
        )
    if json:
        print_json(document)
    else:
        _show(document, console)
    if document["failed"]:
        return 4
    return DOES_NOT_HOLD if any(one["verdict"] == "does not hold" for one in document["claims"]) else None


def _show(document: dict[str, Any], console: Any) -> None:
    from ..reports import evidence, reported

    for title, header, rows in (*evidence.tables(document), *reported.tables(document["reported"])):
        console.table(title, header, rows)
    counts = [f"{sum(one['verdict'] == v for one in document['claims'])} {v}" for v in evidence.VERDICTS]
    console.line(f"claims:    {', '.join(counts)} ({document['seconds']:.0f} s)")
    for one in document["failed"]:
        console.line(f"failed:    {one['suite']}: {one['what']} (next: {one['next']})")
    for file in document["files"]:
        console.line(f"results:   {file}")
