"""``suites compare``: what runs came to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config.errors import Fault
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
    csv: Annotated[bool, typer.Option("--csv", help="A line a method as CSV, with all digits.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="A table for LaTeX (booktabs).")] = False,
    rope: Annotated[
        float | None,
        typer.Option("--rope", metavar="WIDTH", help="Differences within ±WIDTH count as none: is that shown?"),
    ] = None,
    order: Annotated[
        bool, typer.Option("--order", help="Do methods rank alike on other data? Rank correlations of their orders.")
    ] = False,
    picture: Picture = None,
    ranks: Annotated[
        Path | None, typer.Option("--ranks", metavar="FILE", help="Critical-difference diagram of several data sets.")
    ] = None,
    curves: Annotated[Path | None, typer.Option("--curves", metavar="FILE", help="Performance profiles.")] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", help="Runs of this suite alone.", autocompletion=suites_beginning)
    ] = None,
    profile: ProfileOption = None,
    latest: Annotated[bool, typer.Option("--latest", help="The newest finished invocation of these alone.")] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Which method is better and how sure that is. Example: suites compare last --than er

    Several data sets (or values of one field of the data) also give average ranks, interquartile means and win rates.
    --picture draws a dot for each seed
    and intervals; where the data differ in one field, the metric over that field.
    """
    from .. import api
    from ..reports import compared
    from ..reports import picture as pictures

    if sum((markdown, csv, latex, json)) > 1:
        what = "--markdown, --csv, --latex and --json exclude each other"
        raise Fault.usage(what, "compare", "name the one form that you want")
    of: dict[str, Any] = {"suite": suite, "profile": profile, "latest": latest}
    document = api.compare(*(targets or []), metric=metric or None, than=than, rope=rope, order=order, out=out, **of)
    console = console_of(json or markdown or csv or latex)
    if document["not_finished"]:
        console.warning(f"left out, not finished: {', '.join(document['not_finished'])}")
    drawn = ((picture, pictures.picture), (ranks, pictures.rank_diagram), (curves, pictures.profile_curves))
    for path, draw in drawn:
        if path is not None:
            draw(document, path)
    if json:
        return print_json(document)
    if markdown or csv or latex:
        from ..reports import export

        form = compared.markdown if markdown else export.as_csv if csv else export.as_latex
        sys.stdout.write(form(document))
        return None
    for title, header, rows in compared.tables(document):
        console.table(title, header, rows)
    for text in compared.notes(document):
        console.paragraph("not comparable: ", text)
    if power := compared.detectable(document):
        console.paragraph("", power)
    return None


def report(
    targets: Targets = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="The page (default: report.html in the invocation's folder).")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Of the page (default: the suites' names).")] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Finished runs as one HTML page without a network. Example: suites report last --file report.html"""
    from .. import api

    path = api.report(*(targets or []), file=file, out=out, title=title)
    if json:
        return print_json({"file": str(path)})
    console_of(json).line(f"report:    {path}")
    return None
