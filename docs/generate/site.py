"""Pages of the site that are written from the code when it is built: the command line and the fields of recipes.

``make docs`` runs it as a hook of MkDocs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import typer
from holdfast.suites.cli.app import app
from holdfast.suites.config import registry
from holdfast.suites.config.recipe import Recipe
from holdfast.suites.reports.fields import facts
from pydantic import BaseModel


def cell(text: object) -> str:
    """Text that a cell of a Markdown table can hold."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def code(text: object) -> str:
    return f"`{' '.join(str(text).split())}`".replace("|", "\\|") if str(text) else ""


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def fields(model: type[BaseModel]) -> str:
    """The fields of a section or a Config."""
    rows = []
    for name, field in model.model_fields.items():
        row = facts(field)
        default = "required" if row["required"] else code(json.dumps(row["default"], ensure_ascii=False))
        admits = ", ".join(part for part in (row["type"], row["range"]) if part)
        rows.append([code(field.alias or name), cell(admits), default, cell(row["description"] or "")])
    return table(["field", "type and range", "default", "meaning"], rows) if rows else "No fields.\n"


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for verb, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {verb}")
        elif not command.hidden:
            yield f"{name} {verb}", command


def placed(argument: Any) -> str:
    """An argument as a line of usage has it: ``[INVOCATION]...``."""
    name = argument.metavar or str(argument.name).upper()
    name = name if argument.required else f"[{name}]"
    return f"{name}..." if argument.nargs == -1 and not name.endswith("...") else name


def command_line() -> str:
    """Every command with its arguments and options."""
    parts = ["# Command line\n", "Exit codes: 0 done; 1 a claim that a run checks does not hold; 2 a wrong input;"]
    parts += ["3 missing or faulty data; 4 failed while it ran; 130 stopped by Ctrl-C. `--help` says the same.\n"]
    for name, command in _commands(typer.main.get_command(app), "suites"):
        parts += [f"## `{name}`\n", f"{(command.help or '').strip()}\n"]
        rows = []
        for one in command.params:
            if one.name == "help":
                continue
            argument = one.param_type_name == "argument"
            shown = placed(one) if argument else ", ".join(one.opts + one.secondary_opts)
            default = "" if one.required or one.default in (None, False) or callable(one.default) else one.default
            rows.append([code(shown), cell(getattr(one, "help", None) or ""), code(default)])
        if rows:
            parts.append(table(["argument or option", "meaning", "default"], rows))
    return "\n".join(parts)


def recipe() -> str:
    """The sections of a recipe."""
    parts = ["# Recipe\n", "A recipe is a YAML file (schema 2): [add a suite](../guides/add-a-suite.md) explains one."]
    parts += ["On the command line a field is `section.field=value`. `suites show NAME` prints what a suite has.\n"]
    parts += ["## The whole\n", fields(Recipe)]
    for name, field in Recipe.model_fields.items():
        section: Any = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            parts += [f"## `{name}`\n", (section.__doc__ or "").strip().partition("\n\n")[0] + "\n", fields(section)]
    return "\n".join(parts)


def methods() -> str:
    """Every method with its fields; variants (``use`` in a recipe) have the fields of what they use."""
    parts = ["# Methods\n", "On the command line: `methods.NAME.FIELD=VALUE`, or `'methods.*.FIELD=VALUE'` for all"]
    parts += ["methods that have the field. A *protocol* field is equal over the methods of a suite.\n"]
    for entry in registry.entries("methods"):
        kind = registry.method(entry.name)
        parts += [f"## `{entry.name}`\n", f"{kind.summary[:1].upper()}{kind.summary[1:]}.\n", fields(kind.Config)]
    return "\n".join(parts)


def data() -> str:
    """Every data set, network and transform with its options, and the problems that have any."""
    parts = ["# Data sets, networks, transforms, problems\n", "Options: `data.options.NAME=VALUE`,"]
    parts += ["`model.options.NAME=VALUE`, `evaluate.options.NAME=VALUE` (problems).\n"]
    for title, kind, load in (
        ("Data sets", "datasets", registry.dataset),
        ("Networks", "networks", registry.network),
        ("Transforms", "transforms", registry.transform),
    ):
        parts.append(f"## {title}\n")
        for entry in registry.entries(kind):  # type: ignore[arg-type]
            module: Any = load(entry.name)
            said = (getattr(module, "__doc__", "") or "").strip().partition("\n\n")[0]
            parts += [f"### `{entry.name}`\n", f"{said}\n", fields(module.Config)]
    parts.append("## Problems with options\n")
    for entry in registry.entries("problems"):
        kind_of_problem = registry.problem(entry.name)
        if kind_of_problem.Config.model_fields:
            parts += [f"### `{entry.name}`\n", fields(kind_of_problem.Config)]
    return "\n".join(parts)


PAGES = {
    "reference/command-line.md": command_line,
    "reference/recipe.md": recipe,
    "reference/methods.md": methods,
    "reference/data.md": data,
}


def on_files(files: Any, config: Any) -> Any:
    """The hook: adds the pages to those that lie in docs/."""
    from mkdocs.structure.files import File

    for name, write in PAGES.items():
        files.append(File.generated(config, name, content=write()))
    return files
