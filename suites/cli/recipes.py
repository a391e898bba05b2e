"""``suites list``, ``show``, ``copy``, ``validate``: what there is to run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config.errors import Fault
from .shared import Json, ProfileOption, console_of, print_json


def list_(json: Json = False) -> None:
    """The suites there are."""
    from .. import api

    rows = api.list_suites()
    if json:
        return print_json(rows)
    table = [[r["name"], r["title"], ", ".join(r["profiles"]), ", ".join(r["defaults"])] for r in rows]
    console_of(False).table("suites", ["name", "what", "profiles", "methods"], table)


def show(name: str, profile: ProfileOption = None, json: Json = False) -> None:
    """A suite's resolved recipe and what its methods' fields mean. Example: suites show coconut_slurp"""
    from .. import api
    from ..config.recipe import to_yaml
    from ..reports import tables

    recipe = api.load_recipe(name, profile)
    fields = tables.method_fields(recipe)
    if json:
        document = recipe.model_dump(by_alias=True, mode="json")
        return print_json({**document, "method_fields": fields, "resume": "checkpoint"})
    console = console_of(False)
    console.line(to_yaml(recipe))
    for method, entry in fields.items():
        console.table(*tables.of_fields(method, entry))
    console.line("resume: checkpoint")


def copy(
    name: str, file: Path, force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False
) -> None:
    """Copy a suite's recipe to edit. Example: suites copy coconut_slurp mine.yaml"""
    from .. import api

    api.copy_recipe(name, file, force)
    console_of(False).line(f"wrote {file}; run it: suites run {file}")


def validate(
    target: Annotated[str | None, typer.Argument(help="Name or file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All suites in all profiles.")] = False,
    json: Json = False,
) -> None:
    """Check a recipe whole, in all its profiles: names, types, ranges, equal settings; all errors at once."""
    from .. import api

    if (target is None) == (not every):
        raise Fault.usage("name one suite or file, or say --all", "validate", "suites validate --all")
    checked = api.validate(target)
    if json:
        return print_json(checked)
    console_of(False).line(f"{len(checked)} valid")
