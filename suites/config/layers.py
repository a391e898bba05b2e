"""Recipes that extend others: the documents of a chain, the one on top of the other, and where each value came from."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .documents import merge, read_yaml
from .errors import Fault

SCHEMA = 2
DEEPEST = 8  # recipes in a chain
Locate = Callable[[str, str], tuple[str, str]]  # (what extends names, where it stands) -> (text, where)


@dataclass(frozen=True)
class Layer:
    """One recipe of a chain, as written."""

    where: str
    document: dict[str, Any]


@functools.lru_cache(maxsize=64)
def _parsed(text: str, where: str) -> dict[str, Any]:
    return read_yaml(text, where)


def chain(text: str, where: str, locate: Locate) -> list[Layer]:
    """The recipe ``text`` and what it extends, the lowest first.

    Raises Fault for a ring, too long a chain, or another schema.
    """
    layers: list[Layer] = []
    while True:
        document = copy.deepcopy(_parsed(text, where))
        if document.get("schema") != SCHEMA:
            raise _wrong_schema(document.get("schema"), where)
        check_profiles(document, where)
        layers.insert(0, Layer(where, document))
        parent = document.pop("extends", None)
        if parent is None:
            return layers
        if not isinstance(parent, str):
            raise Fault.recipe("extends: the name of a suite, or a file", where, "extends: coconut_slurp")
        text, where = locate(parent, where)
        if where in (layer.where for layer in layers) or len(layers) >= DEEPEST:
            ring = " -> ".join([*(layer.where for layer in reversed(layers)), where])
            raise Fault.recipe(
                f"extends: these recipes extend each other, or more than {DEEPEST} do: {ring}",
                where,
                "extend a suite that stands alone",
            )


def check_profiles(document: Mapping[str, Any], where: str) -> None:
    """Raises Fault where ``profiles`` of a document does not map names to fields."""
    profiles = document.get("profiles") or {}
    if not isinstance(profiles, dict) or any(not isinstance(fields, dict | None) for fields in profiles.values()):
        raise Fault.recipe("'profiles' must map a profile's name to fields", where, "see: suites show coconut_slurp")


def _wrong_schema(given: Any, where: str) -> Fault:
    if given == 1:
        what = f"schema: this recipe is of schema 1, and {SCHEMA} is needed"
        is_file = where.endswith((".yaml", ".yml")) or "/" in where
        return Fault.recipe(what, where, f"suites migrate {where}" if is_file else "update the package that it is from")
    what = (
        "schema: a recipe says 'schema: 2'"
        if given is None
        else f"schema: no such schema: {given!r} (there is: {SCHEMA})"
    )
    return Fault.recipe(what, where, "start from one: suites copy coconut_slurp FILE")


def merged(layers: Iterable[Layer]) -> dict[str, Any]:
    """The documents laid on top of each other. A method that a later one sets to null is left out."""
    documents = [layer.document for layer in layers]
    result: dict[str, Any] = {}
    for document in documents:
        result = merge(result, document)
    if len(documents) > 1 and isinstance(result.get("methods"), Mapping):
        gone = {name for name, entry in result["methods"].items() if entry is None}
        result["methods"] = {name: entry for name, entry in result["methods"].items() if name not in gone}
        for profile in (result.get("profiles") or {}).values():
            if isinstance(profile, dict) and isinstance(profile.get("methods"), dict):
                profile["methods"] = {n: e for n, e in profile["methods"].items() if n not in gone}
    return result


def origins(layers: Iterable[Layer], profile: str | None, overrides: Iterable[str]) -> dict[tuple[str, ...], str]:
    """Path of each value -> the layer that set it last: a file or name, ``..., profile P``, or ``override``."""
    result: dict[tuple[str, ...], str] = {}
    listed = list(layers)
    for layer in listed:
        plain = {key: value for key, value in layer.document.items() if key != "profiles"}
        result |= dict.fromkeys(paths(plain), layer.where)
    for layer in listed if profile else ():
        part = (layer.document.get("profiles") or {}).get(profile) or {}
        result |= dict.fromkeys(paths(part), f"{layer.where}, profile {profile}")
    for text in overrides:
        result[tuple(text.partition("=")[0].split("."))] = "override"
    return result


def paths(document: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all values that are no mappings."""
    if not isinstance(document, Mapping) or (not document and prefix):
        return [prefix]
    return [path for key, value in document.items() for path in paths(value, (*prefix, str(key)))]


def origin_of(path: tuple[str, ...], known: Mapping[tuple[str, ...], str]) -> str:
    """Where the value at ``path`` came from; ``default`` where no layer names it.

    The field of a method may be that of ``methods: {"*": ...}``: the method's own counts more, as in the recipe.
    """
    for length in range(len(path), 0, -1):  # a list or a whole section may have been set at once
        if path[:length] in known:
            return known[path[:length]]
        if path[0] == "methods" and length >= 3 and ("methods", "*", *path[2:length]) in known:
            return known["methods", "*", *path[2:length]]
    return "default"
