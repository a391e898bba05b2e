"""What a message advises, checked: its commands are parsed as the command line would, its fields are looked up."""

from __future__ import annotations

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from holdfast.suites.cli.app import app
from holdfast.suites.config import registry
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
GROUP: Any = typer.main.get_command(app)
VERBS = "|".join(GROUP.commands)
COMMAND = re.compile(rf"\bsuites ((?:{VERBS})\b(?: [^;,()`\n]*)?)")
# how a sentence goes on behind a command
ENDS = re.compile(r"(?: with a| empties | where | and | or |: | to | \\| - ).*$")
FIELD = re.compile(r"(?<![\w./-])((?:data|model|train|evaluate|sweep|diagnostics|methods)\.[a-z_*][\w.*]*)")


def commands(text: str) -> list[list[str]]:
    """The arguments of every command ``suites ...`` in a text."""
    given = (ENDS.sub("", match[1]).strip().rstrip("`'\"") for match in COMMAND.finditer(text))
    return [shlex.split(re.sub(r"(?<=\w)\.$", "", one)) for one in given]


def refusal(arguments: list[str]) -> str | None:
    """Why the command line would not take these arguments; None where it would. ``...`` stands for what one gave."""
    if "..." in arguments:
        k = arguments.index("...")
        arguments = [*arguments[:k], "NAME", *arguments[k + 1 :]]
    group: Any = GROUP
    try:
        context = group.make_context("suites", list(arguments))
        rest = list(arguments)
        while rest and hasattr(group, "commands"):
            name, group, rest = group.resolve_command(context, rest)
            context = group.make_context(name, list(rest), parent=context)
    except typer.Exit:  # --help
        return None
    except Exception as error:
        if hasattr(error, "format_message"):
            return str(error.format_message())
        raise
    return None


@functools.cache
def known_fields() -> frozenset[str]:
    """Paths of all fields that some recipe may have; ``methods.*`` for any method."""
    paths = set()
    for name, field in Recipe.model_fields.items():
        inner: Any = field.annotation
        if hasattr(inner, "model_fields"):
            paths |= {f"{name}.{one}" for one in inner.model_fields}
    kinds: tuple[tuple[str, registry.Kind, Any], ...] = (
        ("data.options", "datasets", registry.dataset),
        ("model.options", "networks", registry.network),
    )
    for prefix, kind, load in kinds:
        for entry in registry.entries(kind):
            paths |= {f"{prefix}.{field}" for field in load(entry.name).Config.model_fields}
    for entry in registry.entries("methods"):
        try:
            paths |= {f"methods.*.{field}" for field in registry.method(entry.name).Config.model_fields}
        except Fault:
            continue
    return frozenset(paths | {f"methods.*.{name}" for name in ("use",)})


def unknown_fields(text: str) -> list[str]:
    """Paths of fields in a text that no recipe has."""
    listed = []
    for path in FIELD.findall(text):
        parts = path.rstrip(".").split(".")
        if parts[-1] == "json" or parts[-1].isupper():  # a file; what one is to fill in
            continue
        if parts[0] == "methods":
            parts[1:2] = ["*"]
        if len(parts) > 1 and not any(known == ".".join(parts[: known.count(".") + 1]) for known in known_fields()):
            listed.append(path)
    return listed


def texts(folder: str) -> Iterator[tuple[str, str]]:
    """(place, text) of every text in the sources of a package that is no docstring; what is filled in stands as X."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        inside |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            place = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                parts = (str(p.value) if isinstance(p, ast.Constant) else "X" for p in node.values)
                yield place, "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                yield place, node.value
