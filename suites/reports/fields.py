"""What ``suites show`` says of fields: type, range, default, meaning, value, and where the value came from."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from ..config import display, registry, scratch
from ..config.errors import Fault
from ..config.recipe import Recipe
from ..config.sections import SplitTransformSection

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from .tables import Table

WORDS = {int: "int", float: "float", str: "text", bool: "true or false", type(None): "null", Any: "any"}
BOUNDS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"), ("min_length", "length≥"), ("max_length", "length≤"))
INSIDE = ("options", "transforms")  # fields that have tables of their own
HEADER = ["field", "value", "type and range", "meaning (origin; default)"]


def type_of(annotation: Any) -> str:
    """A field's type in words: ``int or null``, ``last | validation``, ``list of text``, ``mapping``."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join(type_of(one) for one in inner)
    if origin in (tuple, list, set, frozenset):
        return f"list of {', '.join(type_of(one) for one in inner if one is not Ellipsis) or 'any'}"
    if origin is dict or annotation is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "mapping"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def range_of(field: FieldInfo) -> str:
    """The values that a field admits beside its type: ``≥1, ≤1000``; empty where all."""
    parts = []
    for limit in field.metadata:
        parts += [f"{sign}{getattr(limit, name)}" for name, sign in BOUNDS if getattr(limit, name, None) is not None]
        if getattr(limit, "pattern", None):
            parts.append(f"matches {limit.pattern}")
    return ", ".join(parts)


def facts(field: FieldInfo) -> dict[str, Any]:
    """Type, range, default and description of one field of a Config or a section."""
    default = field.get_default(call_default_factory=True)
    required = default is PydanticUndefined
    return {
        "type": type_of(field.annotation),
        "range": range_of(field),
        "required": required,
        "default": None if required else to_jsonable_python(default),
        "description": field.description,
    }


def _origin(path: str, origins: Mapping[str, str]) -> str:
    """Of a value that is a mapping: where its first part came from."""
    inside = (where for name, where in origins.items() if name.startswith(f"{path}."))
    return origins.get(path) or next(inside, "default")


def _of(model: type[BaseModel], values: Mapping[str, Any], path: str, origins: Mapping[str, str]) -> dict[str, Any]:
    """The fields of ``model`` with what ``values`` give them."""
    rows = {}
    for name, field in model.model_fields.items():
        row = facts(field)
        rows[name] = {**row, "value": values.get(name, row["default"]), "origin": _origin(f"{path}.{name}", origins)}
    return rows


def of_sections(recipe: Recipe, origins: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Path of a section of the recipe -> its fields, each with :func:`facts`, ``value`` and ``origin``.

    With the options of what the recipe names (data set, network, problem, transforms, data of evaluation sets); where
    it names no transform, with those of all that there are (``data.transforms: NAME``).
    """
    document = recipe.model_dump(by_alias=True, mode="json")
    result = {}
    for path, section, config in _configs(recipe):
        if section is not None:
            values = section.model_dump(by_alias=True, mode="json")
            plain = _of(type(section), values, path, origins)
            result[path] = {name: row for name, row in plain.items() if name not in INSIDE}
            result[f"{path}.options"] = _of(config, values["options"], f"{path}.options", origins)
        else:
            result[path] = _of(config, {}, path, origins)
    for name in ("train", "evaluate", "diagnostics"):
        rows = _of(type(getattr(recipe, name)), document[name], name, origins)
        result[name] = {field: row for field, row in rows.items() if field not in INSIDE}
    path, config = "evaluate.options", registry.problem(recipe.problem).Config
    result[path] = _of(config, recipe.evaluate.options, path, origins)
    return result


def _configs(recipe: Recipe) -> Iterator[tuple[str, BaseModel | None, type[BaseModel]]]:
    """Path, section and Config of all that has a name and options."""
    yield "data", recipe.data, registry.dataset(recipe.data.name, recipe.family).Config
    for number, step in enumerate(recipe.data.transforms):
        yield f"data.transforms.{number}", step, registry.transform(step.name).Config
    if not recipe.data.transforms:
        yield "data.transforms", None, SplitTransformSection
        for entry in registry.entries("transforms"):
            with suppress(Fault):  # one of a package that is broken
                yield f"data.transforms: {entry.name}", None, registry.transform(entry.name).Config
    yield "model", recipe.model, registry.network(recipe.model.name).Config
    for name, rows in recipe.evaluate.sets.items():
        path = f"evaluate.sets.{name}"
        if rows.data is not None:
            yield f"{path}.data", rows.data, registry.dataset(rows.data.name, recipe.family).Config
        for number, change in enumerate(rows.transforms):
            yield f"{path}.transforms.{number}", change, registry.transform(change.name).Config


def of_methods(recipe: Recipe, origins: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Method -> its summary and the fields of its Config as in :func:`of_sections`, with ``protocol``; those that run
    by default first."""
    from ...methods.base import is_protocol

    methods = {}
    for name in _defaults_first(recipe):
        kind = registry.kind_of(recipe, name)
        rows = _of(kind.Config, recipe.methods[name], f"methods.{name}", origins)
        fields = {f: {**row, "protocol": is_protocol(kind.Config.model_fields[f])} for f, row in rows.items()}
        methods[name] = {"summary": kind.summary, "fields": fields}
    return methods


def _defaults_first(recipe: Recipe) -> list[str]:
    return list(dict.fromkeys((*recipe.defaults, *recipe.methods)))


def tables(recipe: Recipe, origins: Mapping[str, str]) -> Iterator[Table]:
    """The tables of ``suites show``: a table a section, the methods, and each field of a method once."""
    for path, fields in of_sections(recipe, origins).items():
        if fields:
            yield of_section(path, fields)
    methods = of_methods(recipe, origins)
    rows = [[name, entry["summary"], changed(entry["fields"])] for name, entry in methods.items()]
    yield f"methods; these run where none is named: {', '.join(recipe.defaults)}", ["method", "what", "set to"], rows
    yield _fields_of_methods(recipe, methods)


def of_section(path: str, fields: Mapping[str, Mapping[str, Any]]) -> Table:
    """The table of a section's fields."""
    rows = [[name, in_words(row), _admits(row), _meaning(row)] for name, row in fields.items()]
    return _title(path), HEADER, rows


def _title(path: str) -> str:
    stem, _, name = path.partition(": ")
    if name:
        return f"data.transforms: options of {name}"
    return f"{path}: a list; each has these fields" if stem == "data.transforms" else f"{path}: {path}.FIELD=VALUE"


def each_once(
    recipe: Recipe, methods: Mapping[str, Mapping[str, Any]]
) -> tuple[list[tuple[dict[str, Any], str]], list[str]]:
    """Each field of the methods once, with those that have it, and the methods without fields of their own; variants
    (``use``) have the fields of what they use."""
    owners: dict[str, list[str]] = {}
    shown: dict[str, dict[str, Any]] = {}
    used = {name: scratch.short(str(recipe.methods[name].get("use", name))) for name in methods}
    kinds = {used[name]: entry["fields"] for name, entry in methods.items()}
    for kind, fields in kinds.items():
        for name, row in fields.items():
            same = {key: row[key] for key in ("type", "range", "default", "description", "protocol", "required")}
            key = json.dumps([name, same], default=str)
            shown[key] = {**same, "name": name, "value": same["default"], "origin": "default"}
            owners.setdefault(key, []).append(kind)
    having = {kind for kind, fields in kinds.items() if fields}
    rows = []
    for key, row in shown.items():
        whose = "all" if len(having) > 1 and set(owners[key]) == having else ", ".join(owners[key])
        rows.append((row, whose))
    return rows, sorted(set(kinds) - having)


def _fields_of_methods(recipe: Recipe, methods: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    each, bare = each_once(recipe, methods)
    for row, whose in each:
        meaning = f"{_meaning(row)}{' (protocol)' * row['protocol']}; of {whose}"
        rows.append([row["name"], in_words(row), _admits(row), meaning])
    title = "methods.NAME.FIELD=VALUE, or of all that have the field: 'methods.*.FIELD=VALUE'"
    title += f"; without fields of their own: {', '.join(bare)}" if bare else ""
    return title, ["field", "default", "type and range", "meaning; of which methods"], rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def in_words(row: Mapping[str, Any]) -> str:
    return "" if row["required"] and row["value"] is None else _text(row["value"])


def _admits(row: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (row["type"], row["range"]) if part)


def _meaning(row: Mapping[str, Any]) -> str:
    """The description, with where a value that is no default came from and what the default is."""
    text = row["description"] or ""
    if row["origin"] == "default":
        return text + " (required)" * row["required"]
    default = "required" if row["required"] else f"default {_text(row['default'])}"
    return f"{text} ({row['origin']}; {default})".strip()


def changed(fields: Mapping[str, Mapping[str, Any]]) -> str:
    """``FIELD=VALUE`` of all that is not at its default."""
    return ", ".join(f"{name}={_text(row['value'])}" for name, row in fields.items() if row["origin"] != "default")


@dataclass(frozen=True)
class Shown:
    """A recipe as ``suites show`` shows it."""

    recipe: Recipe
    target: str
    overrides: tuple[str, ...] = ()

    @cached_property
    def origins(self) -> dict[str, str]:
        """Path of every value -> where it came from."""
        return display.origins(self.recipe, self.target, self.overrides)

    def text(self) -> str:
        """The resolved recipe as YAML with the origins as comments."""
        return display.annotated(self.recipe, self.target, self.overrides)

    def tables(self) -> list[Table]:
        """(title, header, rows) of every section and of the methods."""
        return list(tables(self.recipe, self.origins))

    def document(self) -> dict[str, Any]:
        """The resolved recipe with ``fields`` (of sections), ``method_fields`` and ``origins``."""
        return {
            **self.recipe.model_dump(by_alias=True, mode="json"),
            "fields": of_sections(self.recipe, self.origins),
            "method_fields": of_methods(self.recipe, self.origins),
            "origins": self.origins,
            "resume": "checkpoint",
        }
