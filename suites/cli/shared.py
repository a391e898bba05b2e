"""What the groups of verbs share: common options, and where their one document and their lines go."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from ..config.private import public

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where runs lie (default: HOLDFAST_RUNS, else ./runs).")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="smoke, demo or paper.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fields of the recipe to change.")
]
Root = Annotated[
    Path | None, typer.Option("--data-root", help="Folder of the real data; without it the stand-in is generated.")
]
Methods = Annotated[list[str] | None, typer.Option("--method", help="Only this method; may be repeated.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
TrackingUri = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store or server.")]
EngineName = Annotated[str, typer.Option("--engine", help="Of --workers: local or ray.")]
Address = Annotated[str | None, typer.Option("--address", help="Of the Ray cluster.")]


def suites_beginning(incomplete: str) -> list[str]:
    """The shell's completions of a suite's name."""
    from ..config import sources

    return [name for name in sources.stored() if name.startswith(incomplete)]


Suite = typer.Argument(metavar="NAME|FILE", autocompletion=suites_beginning)
HELP = {"help_option_names": ["-h", "--help"]}

_document: list[TextIO] = []  # with --json: the real standard output, kept for the one document


def help_of_group(context: typer.Context) -> None:
    """The help of a group of verbs where no verb is named; that is no error."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def keep_output() -> None:
    """Standard output is for the one document: whatever else is printed (Ray does) goes beside it."""
    _document[:] = [sys.stdout]
    sys.stdout = sys.stderr


def output() -> TextIO:
    """Where the document goes."""
    return _document[0] if _document else sys.stdout


def print_json(document: Any) -> None:
    """The one document of ``--json``."""
    output().write(public(json_.dumps(document, indent=1, ensure_ascii=False)) + "\n")


def console_of(json: bool) -> Any:
    """What a person sees."""
    from ..runtime.console import Console

    return Console(json)
