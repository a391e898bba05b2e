"""``suites show`` in short: what a recipe sets, the fields at their defaults by name, and how methods differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..config import scratch
from ..config.evidence import DATA
from ..config.recipe import Recipe
from . import fields

if TYPE_CHECKING:
    from .tables import Table

    Part = Table | tuple[str, str]  # a table, or the label and the text of a paragraph

Fields = Mapping[str, Mapping[str, Any]]


def parts(recipe: Recipe, origins: Mapping[str, str]) -> Iterator[Part]:
    """What is said, in order."""
    yield from _head(recipe)
    other: list[str] = []
    for path, section in fields.of_sections(recipe, origins).items():
        stem, _, name = path.partition(": ")
        if stem == "data.transforms" and path != "data.transforms":
            other += [name]
            continue
        if path == "data.transforms":
            continue  # a list that is empty
        given = {name: row for name, row in section.items() if row["origin"] != "default"}
        if given:
            yield fields.of_section(path, given)
        rest = _named((name, row) for name, row in section.items() if name not in given)
        if rest:
            yield f"{path} at defaults: ", rest
    if other:
        yield "data.transforms: ", f"none; there are {', '.join(other)}"
    yield from _methods(recipe, fields.of_methods(recipe, origins))
    yield from _tail(recipe)


def _head(recipe: Recipe) -> Iterator[Part]:
    facts = {"suite": recipe.name, "what": recipe.title, "paper": recipe.paper, "problem": recipe.problem}
    facts["profile"] = recipe.profile or "none named: the recipe as it stands (run takes demo)"
    for label, text in facts.items():
        if text:
            yield f"{label}: ", str(text)


def _tail(recipe: Recipe) -> Iterator[Part]:
    """Claims, settings that differ on purpose, and what a sweep searches: what is no field with a table."""
    for claim in recipe.claims:
        where = " and ".join(DATA[kind] for kind in claim.where)
        whose = f"{claim.whose}, {claim.source}" if claim.source else claim.whose
        yield "claim: ", f"{claim.words}; {claim.seeds} seeds, {where}; {whose}"
    for value in recipe.reported:
        yield "reported: ", f"{value.method}: {value.metric} {value.value:g}, {value.source} ({value.protocol})"
    for name, why in recipe.unequal.items():
        text = "; ".join(f"{method}: {reason}" for method, reason in why.items()) if isinstance(why, dict) else why
        yield f"unequal {name}: ", str(text)
    for path, one in recipe.sweep.params.items():
        choices = None if one.choices is None else ", ".join(map(str, one.choices))
        yield f"sweep {path}: ", choices or f"{one.low} to {one.high}{' (log)' * one.log}"


def _named(rows: Any) -> str:
    return ", ".join(f"{name}={fields.in_words(row)}" for name, row in rows)


def _methods(recipe: Recipe, methods: Mapping[str, Mapping[str, Any]]) -> Iterator[Part]:
    """Those that run by default, the others by what sets them apart, and each field of all of them once."""
    rows = [[name, methods[name]["summary"], fields.changed(methods[name]["fields"])] for name in recipe.defaults]
    yield "methods that run where none is named", ["method", "what", "set to"], rows
    others = [name for name in methods if name not in recipe.defaults]
    if others:
        apart = [[name, *_apart(recipe, name, methods)] for name in others]
        yield "other methods (--method NAME), and what sets them apart", ["method", "like", "with"], apart
    each, bare = fields.each_once(recipe, methods)
    of: dict[str, list[str]] = {}
    for row, whose in each:
        of.setdefault(whose, []).append(f"{row['name']}={fields.in_words(row)}{'*' * row['protocol']}")
    for whose, listed in of.items():
        yield "fields: ", f"of {whose}: {', '.join(listed)}"
    if bare:
        yield "without fields: ", ", ".join(bare)
    if any(row["protocol"] for row, _ in each):
        yield "*: ", "equal over the methods, but for what stands under unequal"


def _apart(recipe: Recipe, name: str, methods: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The method that this one is like (the one of the same code that runs by default, else the code), and the fields
    in which the two differ."""
    kind = scratch.short(str(recipe.methods[name].get("use", name)))
    own: Fields = methods[name]["fields"]
    like = methods[kind]["fields"] if kind in methods and kind != name else {}
    rows = {}
    for field, row in own.items():
        base = like[field]["value"] if field in like else row["default"]
        if row["value"] != base:
            rows[field] = row
    text = _named(rows.items())
    return (kind, text) if kind != name else (methods[name]["summary"], text)
