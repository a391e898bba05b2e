"""What a recipe may name, as rows of a table; nothing is imported."""

from __future__ import annotations

import ast
import re
from typing import Any, get_args

from . import registry
from .documents import suggestion
from .errors import Fault


def of(kind: str) -> list[dict[str, Any]]:
    """Name, first sentence and package of every method, data set, network or problem. Raises Fault for another kind."""
    if kind not in get_args(registry.Kind):
        known = ["suites", *get_args(registry.Kind)]
        raise Fault.usage(f"there is no list of '{kind}'{suggestion(kind, known)}", "list", "suites list methods")
    rows = []
    every = registry.entries(kind)  # type: ignore[arg-type]
    names = [entry.name for entry in every]
    for entry in every:
        row = {"name": entry.name, "summary": _summary(entry), "origin": entry.origin}
        if names.count(entry.name) > 1:
            row["summary"] = "TWO OF THIS NAME: an error where a recipe names it"
        rows.append(row)
    return rows


def _summary(entry: registry.Entry) -> str:
    """What a built-in method says of itself, else its module's first sentence; of others what the entry point names."""
    if entry.file is None:
        return entry.point.value if entry.point is not None else ""
    source = entry.file.read_text(encoding="utf-8")
    said = re.search(r'^    summary: ClassVar\[str\] = "(.*)"$', source, re.MULTILINE)
    if said:
        return said[1]
    text = ast.get_docstring(ast.parse(source)) or ""
    return text.split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")
