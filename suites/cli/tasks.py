"""``suites tasks``: methods of multi-task learning beside each other."""

from __future__ import annotations

from typing import Annotated

import typer

from .shared import Json, Out, console_of, print_json

Targets = Annotated[
    list[str] | None,
    typer.Argument(metavar="[INVOCATION]...", help="Invocations, runs, or folders of them (default: last)."),
]


def tasks(
    targets: Targets = None,
    single: Annotated[
        str, typer.Option("--single", help="The method whose runs are the single-task networks.")
    ] = "single_task",
    out: Out = None,
    json: Json = False,
) -> None:
    """Tasks beside single-task networks: Δm, hypervolume, costs. Example: suites tasks last

    Of finished runs of several tasks. Δm is the mean relative change of the tasks' main metrics against the run of
    --single with the same seed.
    """
    from .. import api
    from ..reports import tasks as reports

    documents = api.tasks(*(targets or []), single=single, out=out)
    if json:
        return print_json(documents)
    console = console_of(json)
    for title, header, rows in reports.tables(documents):
        console.table(title, header, rows)
    return None
