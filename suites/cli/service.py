"""``suites sync``, ``ui`` and ``doctor``: MLflow's store and this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .shared import Json, Out, TrackingUri, console_of, print_json


def sync(
    path: Annotated[Path | None, typer.Argument(help="OUT, a study, an invocation or a run.")] = None,
    out: Out = None,
    tracking_uri: TrackingUri = None,
    json: Json = False,
) -> None:
    """Deliver to MLflow what a dead or slow server did not take."""
    from .. import api

    document = api.sync(path or out, tracking_uri)
    if json:
        print_json(document)
    else:
        for row in document["runs"]:
            problem = f": {row['problem']}" if row["problem"] else ""
            warning = f" ({row['warning']})" if row["warning"] else ""
            console_of(False).line(f"{row['folder']}: {row['undelivered']} points left{problem}{warning}")
    if any(
        row["problem"] or row.get("undelivered")
        for row in [*document["runs"], *document["invocations"], *document["studies"]]
    ):
        raise typer.Exit(4)


def ui(
    out: Out = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of this machine (default: 5000, or the next free one).")
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """MLflow's pages of the runs under OUT, on this machine alone."""
    from .. import api

    pages = api.ui(out, port, tracking_uri)
    console = console_of(False)
    if pages.note:
        console.note(pages.note)
    for name, address in pages.links or [("MLflow", pages.address)]:
        console.line(f"{name}: {address}")
    if pages.arguments:
        console.note("Ctrl-C ends it")
        os.execve(pages.arguments[0], pages.arguments, pages.environment)


def doctor(out: Out = None, json: Json = False) -> None:
    """Versions, GPU, disk, store; and what to do about each fault."""
    from .. import api

    document = api.doctor(out)
    if json:
        print_json(document)
    else:
        console = console_of(False)
        width = max(len(check["what"]) for check in document["checks"])
        for check in document["checks"]:
            console.paragraph(f"{check['what']:<{width}}  ", check["found"])
            if check["do"]:
                console.paragraph(f"{'':<{width}}  do: ", check["do"])
        console.line("all is well" if document["healthy"] else "something is to be done, see do: above")
    if not document["healthy"]:
        raise typer.Exit(4)
