"""``suites list``, ``show``, ``copy``, ``migrate``, ``validate``: what there is to run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config.errors import Fault
from .shared import Json, Overrides, ProfileOption, Suite, console_of, print_json


def list_(
    what: Annotated[
        str, typer.Argument(help="suites, methods, datasets, networks, problems or transforms.")
    ] = "suites",
    json: Json = False,
) -> None:
    """The suites there are, or what a recipe may name. Examples: suites list; suites list methods"""
    from .. import api

    rows = api.list_suites() if what == "suites" else api.list_names(what)
    if json:
        return print_json(rows)
    if what == "suites":
        console = console_of(False)
        console.table("suites", ["name", "what"], [[r["name"], r["title"]] for r in rows])
        console.line("methods, profiles and more of one: suites show NAME")
    else:
        console_of(False).table(what, ["name", "what", "from"], [[r["name"], r["summary"], r["origin"]] for r in rows])


def show(
    name: Annotated[str, Suite],
    overrides: Overrides = None,
    profile: ProfileOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="The whole recipe, and every field with type, range and meaning.")
    ] = False,
    json: Json = False,
) -> None:
    """What a suite sets, where from; its fields, its methods.
    Example: suites show coconut_slurp"""
    from .. import api
    from ..reports import brief

    shown = api.show(name, profile, overrides or [])
    if json:
        return print_json(shown.document())
    console = console_of(False)
    if every:
        console.line(shown.text())
        for title, header, rows in shown.tables():
            console.table(title, header, rows)
        console.line("resume: checkpoint")
        return None
    for part in brief.parts(shown.recipe, shown.origins):
        if len(part) == 2:
            console.paragraph(*part)
        else:
            console.table(*part)
    chosen = f" --profile {profile}" if profile else ""
    console.line(f"every field: suites show {name}{chosen} --all")
    return None


def copy(
    name: Annotated[str, Suite],
    file: Path,
    whole: Annotated[bool, typer.Option("--whole", help="All fields, extending nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Start a recipe of your own, a file that extends a suite. Example: suites copy coconut_slurp mine.yaml"""
    from .. import api

    api.copy_recipe(name, file, whole=whole, force=force)
    console_of(False).line(f"wrote {file}; run it: suites run {file}")


def migrate(file: Path) -> None:
    """Rewrite a recipe of schema 1. The old one stays beside it as FILE.schema1. Example: suites migrate mine.yaml"""
    from .. import api

    kept = api.migrate_recipe(file)
    console_of(False).line(f"wrote {file}; the old one: {kept}; check it: suites validate {file}")


def validate(
    target: Annotated[str | None, typer.Argument(help="Name or file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All suites in all profiles.")] = False,
    json: Json = False,
) -> None:
    """Check a recipe in all its profiles. Names, types, ranges, equal settings; all errors at once."""
    from .. import api

    if (target is None) == (not every):
        raise Fault.usage("name one suite or file, or say --all", "validate", "suites validate --all")
    checked = api.validate(target)
    if json:
        return print_json(checked)
    console_of(False).line(f"{len(checked)} valid")
