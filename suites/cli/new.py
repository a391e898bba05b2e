"""``suites new``: files of one's own from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import Json, console_of, help_of_group, print_json

new_app = typer.Typer(
    callback=help_of_group, invoke_without_command=True, help="Write a method, a suite or a data set, with its test."
)
Name = Annotated[str, typer.Argument(help="Small letters, digits and _.")]
Dir = Annotated[Path, typer.Option("--dir", help="Folder to write to.")]


@new_app.command("method")
def method(name: Name, folder: Dir = Path(), json: Json = False) -> None:
    """A method, a recipe that runs it, and its test. Example: suites new method mine"""
    _write("method", name, folder, json)


@new_app.command("suite")
def suite(name: Name, folder: Dir = Path(), json: Json = False) -> None:
    """A recipe that stands alone, and its test. Example: suites new suite mine"""
    _write("suite", name, folder, json)


@new_app.command("data")
def data(name: Name, folder: Dir = Path(), json: Json = False) -> None:
    """A reader of a CSV file, a recipe that runs on it, and its test. Example: suites new data mine"""
    _write("data", name, folder, json)


def _write(kind: str, name: str, folder: Path, json: bool) -> None:
    from .. import api

    document = api.new(kind, name, folder)
    if json:
        return print_json(document)
    console = console_of(False)
    for file in document["files"]:
        console.line(f"wrote {file}")
    console.line("next:")
    for command in document["next"]:
        console.line(f"  {command}")
    return None
