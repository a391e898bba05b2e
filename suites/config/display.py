"""Recipes as text for a person: resolved, with where each value came from; and the short file that extends one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from . import layers, sources
from .documents import read_yaml
from .errors import Fault
from .migrate import migrate_text
from .private import written
from .recipe import Recipe

COLUMN = 48  # where the origins begin


def annotated(recipe: Recipe, target: str, overrides: Iterable[str] = ()) -> str:
    """The resolved recipe as YAML, a value a line, each with its origin as a comment; default methods first.

    Origins: a suite or file, its profile, an override, a default.
    """
    known = layers.origins(sources.layers(target), recipe.profile, overrides)
    document = recipe.model_dump(by_alias=True, mode="json")
    document["methods"] = {name: document["methods"][name] for name in (*recipe.defaults, *recipe.methods)}
    return "\n".join(_lines(written(document), known, ())) + "\n"


def _lines(document: Mapping[str, Any], known: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> list[str]:
    lines = []
    for key, value in document.items():
        here, head = (*path, str(key)), "  " * len(path) + f"{_scalar(key)}:"
        if isinstance(value, Mapping) and value:
            lines += [head, *_lines(value, known, here)]
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            lines.append(f"{head:<{COLUMN}} # {layers.origin_of(here, known)}")
            lines += [f"{'  ' * len(path)}- {_scalar(item)}" for item in value]
        else:
            lines.append(f"{head + ' ' + _scalar(value):<{COLUMN}} # {layers.origin_of(here, known)}")
    return lines


def _scalar(value: Any) -> str:
    """A value in YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True).strip()
    return text.removesuffix("...").strip()


def origins(recipe: Recipe, target: str, overrides: Iterable[str] = ()) -> dict[str, str]:
    """``path.of.a.value`` -> where it came from, of every value of the resolved recipe."""
    known = layers.origins(sources.layers(target), recipe.profile, overrides)
    paths = layers.paths(recipe.model_dump(by_alias=True, mode="json"))
    return {".".join(path): layers.origin_of(path, known) for path in paths}


EXTENDING = """\
# What differs from {parent}; all else is as there. See it: suites show {file}
schema: 2
extends: {parent}
name: {name}
title: {title}
# data: {{options: {{...}}}}
# methods: {{{method}: {{...}}}}      fields of a method; "*": of all that have them; null leaves a method out
# train: {{lr: {lr}}}
# profiles: {{smoke: {{...}}}}
"""


def extending(target: str, file: Path) -> str:
    """A recipe that extends the suite ``target``, for ``file``, whose stem becomes its name."""
    parent = layers.merged(sources.layers(target))
    stem = re.sub(r"[^a-z0-9_]", "_", file.stem.lower())
    name = stem if re.match(r"[a-z]", stem) else f"suite_{stem}"
    return EXTENDING.format(
        parent=target,
        file=file,
        name=name,
        title=_scalar(f"{parent.get('title', target)}, changed"),
        method=next(iter(parent.get("defaults") or ("METHOD",))),
        lr=(parent.get("train") or {}).get("lr", 0.001),
    )


def write(file: Path, text: str) -> None:
    """A recipe's file. Raises Fault where it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Fault.usage(f"cannot write: {error.strerror}", str(file), "choose another place") from error


def migrate(file: Path) -> Path:
    """Rewrite a file of schema 1 in place; the old one is kept as ``<file>.schema1``, which is returned.

    Raises Fault for a file of another schema.
    """
    old = sources.read_file(file)
    if (schema := read_yaml(old, str(file)).get("schema")) != 1:
        raise Fault.usage(
            f"this recipe is of schema {schema!r}, not of 1: nothing to rewrite", str(file), f"suites validate {file}"
        )
    kept = file.with_name(file.name + ".schema1")
    if kept.exists():
        raise Fault.usage("an old recipe is kept there already", str(kept), "move it away")
    write(kept, old)
    write(file, migrate_text(old))
    return kept
