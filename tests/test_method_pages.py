"""Pages of ``docs/methods``: what they name exists, and their tables of fields hold the values of the code.

A table of fields has the columns field, default, demo, paper, shared. A field is what a person types
(``methods.coconut.temperature``); demo and paper are its values in the suite that the text before it names.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.methods.base import is_protocol
from holdfast.suites.config import catalog, registry
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import Recipe
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "methods"
PAGES = sorted(FOLDER.glob("*.md"))
FAMILIES = [path for path in PAGES if path.stem != "index"]

CODE = re.compile(r"`((?:suites|methods|datasets|analysis|tests|docs)/[\w./-]+)(?:: ([\w., ]+))?`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
SUITE = re.compile(r"in the suite `(\w+)`")
FIELD = re.compile(r"^\| `((?:methods|model|data|train|evaluate)\.[\w.]+)` \|")
COMMAND = re.compile(r"`(suites run [^`]+)`|^(suites run .+)$", re.MULTILINE)


# -- code ----------------------------------------------------------------------------------------------------------


@functools.cache
def names_of(path: Path) -> frozenset[str]:
    """Functions, classes, ``Class.member`` and variables that a module defines."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        own = _named(node)
        found.update(own)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{name}" for part in node.body for name in _named(part))
    return frozenset(found)


def _named(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def wrong_code(text: str) -> list[str]:
    """Files, and names in them, that a page names and that do not exist."""
    wrong = []
    for file, names in CODE.findall(text):
        path = ROOT / file
        if not path.exists():
            wrong.append(f"there is no {file}")
        elif names:
            wrong += [f"{file} has no {name}" for name in names.split(", ") if name not in names_of(path)]
    return wrong


def wrong_links(text: str, folder: Path) -> list[str]:
    """Relative links that lead nowhere."""
    return [f"the link {target} leads nowhere" for target in LINK.findall(text) if not (folder / target).exists()]


# -- fields --------------------------------------------------------------------------------------------------------


@functools.cache
def recipe_of(suite: str, profile: str) -> Recipe:
    return catalog.recipe(suite, profile)


def place(recipe: Recipe, path: str) -> tuple[type[BaseModel], dict[str, Any], str]:
    """Of a recipe's path: the model whose field it is, what the recipe gives it, and the field's name."""
    first, *middle, field = path.split(".")
    if first == "methods":
        given = {key: value for key, value in recipe.methods[middle[0]].items() if key != "use"}
        return registry.kind_of(recipe, middle[0]).Config, given, field
    section = getattr(recipe, first)
    if middle != ["options"]:
        return type(section), {field: getattr(section, field)}, field
    module = registry.network(section.name) if first == "model" else registry.dataset(section.name, recipe.family)
    return module.Config, section.options, field


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def right_cells(suite: str, path: str) -> list[Any]:
    """Default, value in demo and paper, and whether the methods share it. KeyError or AttributeError for no field."""
    kind, _, field = place(recipe_of(suite, "demo"), path)
    info = kind.model_fields[field]
    values = [info.default]
    for profile in ("demo", "paper"):
        kind, given, field = place(recipe_of(suite, profile), path)
        values.append(given[field] if field in given else kind.model_fields[field].default)
    return [*map(plain, values), "yes" if is_protocol(info) else ""]


def cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def rows(text: str) -> list[tuple[str, str, list[str]]]:
    """(suite, field, cells) of every row of a table of fields."""
    suite, found = "", []
    for line in text.splitlines():
        suite = (SUITE.findall(line) or [suite])[-1]
        if match := FIELD.match(line):
            found.append((suite, match.group(1), cells(line)))
    return found


def wrong_fields(text: str) -> list[str]:
    """Rows whose field does not exist in their suite, or whose cells are not the code's."""
    wrong = []
    for suite, path, line in rows(text):
        try:
            right = right_cells(suite, path)
        except (KeyError, AttributeError, Fault):
            wrong.append(f"{suite or 'no suite'} has no field {path}")
            continue
        said = [*(yaml.safe_load(cell.strip("`")) for cell in line[1:4]), line[4]]
        for name, here, there in zip(("default", "demo", "paper", "shared"), said, right, strict=True):
            if here != there or isinstance(here, bool) != isinstance(there, bool):
                wrong.append(f"{suite}, {path}: {name} is {there!r}, the page says {here!r}")
    return wrong


# -- commands ------------------------------------------------------------------------------------------------------


def wrong_commands(text: str) -> list[str]:
    """``suites run`` commands whose suite, profile, methods or fields do not exist."""
    wrong = []
    for inline, alone in COMMAND.findall(text):
        words = iter(shlex.split(inline or alone)[2:])
        name, profile, methods, changes = next(words), None, [], []
        for word in words:
            if word.startswith("--"):
                value = next(words)
                profile = value if word == "--profile" else profile
                methods += [value] if word == "--method" else []
            else:
                changes.append(word)
        try:
            recipe = catalog.recipe(name, profile, changes)
            catalog.resolve(recipe)
            catalog.chosen_methods(recipe, methods)
        except Fault as fault:
            wrong.append(f"{inline or alone}: {fault.what}")
    return wrong


# -- the tests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wrong = wrong_code(text) + wrong_links(text, FOLDER) + wrong_fields(text) + wrong_commands(text)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", FAMILIES, ids=lambda path: path.stem)
def test_a_page_has_its_familys_suites_and_methods_and_all_their_fields(page: Path) -> None:
    text, family = page.read_text(encoding="utf-8"), page.stem
    methods = {entry.name.partition("/")[2]: entry.name for entry in of_family(family)}
    suites = [row["name"] for row in catalog.recipes() if row["family"] == family]
    assert [name for name in (*suites, *methods) if f"`{name}`" not in text] == []
    said = {(path.rpartition(".")[2], yaml.safe_dump(right_cells(suite, path)[0])) for suite, path, _ in rows(text)}
    missing = sorted(
        f"{name}.{field} (default {info.default!r})"
        for name, full in methods.items()
        for field, info in registry.method(full).Config.model_fields.items()
        if (field, yaml.safe_dump(plain(info.default))) not in said
    )
    assert not missing, "\n".join(missing)


def of_family(family: str) -> list[registry.Entry]:
    return [e for e in registry.entries("methods") if e.origin == registry.PACKAGE and e.name.startswith(f"{family}/")]


def test_the_index_lists_the_registry() -> None:
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    listed = [
        (name.strip("`"), what)
        for name, what in (cells(line) for line in text.splitlines() if "/" in line[:40] and line.startswith("| `"))
    ]
    families = sorted(
        {entry.name.partition("/")[0] for entry in registry.entries("methods") if entry.origin == registry.PACKAGE}
    )
    assert sorted(listed) == sorted((e.name, registry.method(e.name).summary) for f in families for e in of_family(f))
    assert [f for f in families if f"({f}.md)" not in text] == []


def test_a_wrong_page_is_seen() -> None:
    page = """`methods/losses/nspt.py: nspt, nothing`, `methods/losses/none.py`, [there](none.md)
`suites run coconut_slurp methods.coconut.tau=1`, the values in the suite `coconut_slurp`
| `methods.coconut.temperature` | `0.1` | `0.2` | `0.1` | yes | x | y |
| `methods.coconut.lambda_nspt` | `auto` | `auto` | `auto` |  | x | y |
| `methods.coconut.tau` | `0.1` | `0.1` | `0.1` |  | x | y |
"""
    assert wrong_code(page) == ["methods/losses/nspt.py has no nothing", "there is no methods/losses/none.py"]
    assert wrong_links(page, FOLDER) == ["the link none.md leads nowhere"]
    assert wrong_fields(page) == [
        "coconut_slurp, methods.coconut.temperature: demo is 0.1, the page says 0.2",
        "coconut_slurp, methods.coconut.temperature: shared is '', the page says 'yes'",
        "coconut_slurp has no field methods.coconut.tau",
    ]
    assert len(wrong_commands(page)) == 1
