"""``suites compare``: what runs came to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import Json, Out, ProfileOption, console_of, print_json, suites_beginning

Targets = Annotated[
    list[str] | None,
    typer.Argument(metavar="[INVOCATION]...", help="Invocations, runs, or folders of them (default: last)."),
]
Metric = Annotated[
    list[str] | None,
    typer.Option("--metric", help="Name in the summary (default: the main one, last); may be repeated."),
]
Picture = Annotated[
    Path | None,
    typer.Option("--picture", help="A picture of it: FILE.png (and FILE.pdf beside it), FILE.pdf or FILE.svg."),
]


def compare(
    targets: Targets = None,
    metric: Metric = None,
    than: Annotated[str | None, typer.Option("--than", help="Method to compare with (default: the best).")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")] = False,
    picture: Picture = None,
    suite: Annotated[
        str | None, typer.Option("--suite", help="Runs of this suite alone.", autocompletion=suites_beginning)
    ] = None,
    profile: ProfileOption = None,
    latest: Annotated[bool, typer.Option("--latest", help="The newest finished invocation of these alone.")] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Which method is better and how sure that is. Example: suites compare last --than er

    Several data sets (or values of one field of the data) also give average ranks. --picture draws a dot for each seed
    and intervals; where the data differ in one field, the metric over that field.
    """
    from .. import api
    from ..reports import compared
    from ..reports.picture import picture as draw

    of: dict[str, Any] = {"suite": suite, "profile": profile, "latest": latest}
    document = api.compare(*(targets or []), metric=metric or None, than=than, out=out, **of)
    console = console_of(json or markdown)
    if document["not_finished"]:
        console.warning(f"left out, not finished: {', '.join(document['not_finished'])}")
    if picture is not None:
        draw(document, picture)
    if json:
        return print_json(document)
    if markdown:
        sys.stdout.write(compared.markdown(document))
        return None
    for title, header, rows in compared.tables(document):
        console.table(title, header, rows)
    return None
