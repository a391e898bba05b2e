"""Finds recipes, methods, data sets and models: built in, a user's file, third parties' entry points."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from . import fitness, protocol, registry
from .documents import read_yaml, suggestion
from .errors import Fault
from .recipe import Recipe, fault, load, new_messages, read_file, unknown_names

if TYPE_CHECKING:
    from ...methods.base import Method


def _load_point(point: metadata.EntryPoint) -> Any:
    """What an entry point names, or None with a warning where it is broken."""
    try:
        return point.load()
    except Exception as error:  # a third party's fault must not be ours
        warnings.warn(f"the entry point '{point.name}' ({point.value}) is broken and left out: {error}", stacklevel=2)
        return None


def sources() -> dict[str, str]:
    """Recipe name -> YAML text, of all that are built in or installed; an entry point gives a text or a path."""
    found = {}
    folder = resources.files(f"{registry.PACKAGE}.suites") / "recipes"
    for item in sorted(folder.iterdir(), key=lambda i: i.name):
        if item.name.endswith(".yaml"):
            found[item.name.removesuffix(".yaml")] = item.read_text(encoding="utf-8")
    for point in registry.entry_points("suites"):
        given = _load_point(point)
        if given is not None:
            found[point.name] = given.read_text(encoding="utf-8") if isinstance(given, Path) else str(given)
    return found


def recipes() -> list[dict[str, Any]]:
    """What ``suites list`` prints; imports nothing heavy."""
    rows = []
    for name, text in sources().items():
        document = read_yaml(text, name)
        rows.append(
            {
                "name": name,
                "family": document.get("family", ""),
                "title": document.get("title", ""),
                "problem": document.get("problem", ""),
                "profiles": list(document.get("profiles") or {}),
                "methods": [name for name in document.get("methods") or {} if name != protocol.EVERY],
                "defaults": list(document.get("defaults") or []),
                "paper": document.get("paper", ""),
            }
        )
    return rows


def text(name: str) -> str:
    """The YAML of a recipe by name. Raises Fault with what was probably meant."""
    known = sources()
    if name not in known:
        raise Fault.usage(f"unknown suite '{name}'{suggestion(name, known)}", name, "suites list")
    return known[name]


def recipe(target: str, profile: str | None, overrides: Iterable[str] = ()) -> Recipe:
    """A recipe by name or file, with profile and overrides.

    Where overrides make the methods differ in a protocol field, the recipe says so under ``unequal`` (:func:`protocol.by_hand`).
    """
    given = list(overrides)
    yaml_text, where = _source(target)
    changed = load(yaml_text, profile, given, where, _fields)
    if not given:
        return changed
    try:
        base = load(yaml_text, profile, (), where, _fields)
        return protocol.by_hand(base, changed, kinds(changed), given)
    except (Fault, ValidationError):  # a method or a value that is wrong: resolve names it
        return changed


def _source(target: str) -> tuple[str, str]:
    """A recipe's YAML by name or file, and where it is from."""
    is_file = target.endswith((".yaml", ".yml")) or "/" in target
    return (read_file(Path(target)) if is_file else text(target)), target


def _fields(family: str) -> protocol.FieldsOf:
    """Fields of the Config of a method in a recipe of ``family``; none of an unknown one."""

    def of(name: str, entry: Mapping[str, Any]) -> Collection[str]:
        try:
            return registry.method(str(entry.get("use", name)), family).Config.model_fields
        except Fault:  # resolve names it
            return ()

    return of


def kinds(recipe: Recipe) -> dict[str, type[Method]]:
    """The class of every method of the recipe."""
    return {name: kind_of(recipe, name) for name in recipe.methods}


def protocol_of(document: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Of one method of a run's recipe: protocol field -> value, and -> why it differs. Nothing of a method that is not known any more."""
    entry, train = document["methods"][name], document["train"]
    given = {f: r.get(name) if isinstance(r, dict) else r for f, r in (document.get("unequal") or {}).items()}
    try:
        kind = registry.method(str(entry.get("use", name)), str(document.get("family", "")))
        values = protocol.settings_of(kind, entry, train.get("epochs", 1), train.get("epochs_first"))
    except (Fault, ValidationError):
        return {}, {}
    return values, {field: reason for field, reason in given.items() if reason}


def kind_of(recipe: Recipe, name: str) -> type[Method]:
    """The class of a method of the recipe: the one that its entry ``use`` names, else that of its own name."""
    return registry.method(str(recipe.methods[name].get("use", name)), recipe.family)


def _check(options: dict[str, Any], config: type[BaseModel], prefix: str) -> list[str]:
    errors = unknown_names(options, config, f"{prefix}.")
    try:
        config(**options)
    except ValidationError as error:
        errors += new_messages(error, errors, prefix)
    return errors


def _metrics_of_claims(recipe: Recipe) -> list[str]:
    from .measures import look_up, of_recipe

    known, errors = of_recipe(recipe), []
    for number, claim in enumerate(recipe.claims):
        try:
            look_up(known, claim.metric, "claims", "name another metric")
        except Fault as error:
            errors.append(f"claims.{number}.metric: {error.what}")
    return errors


def resolve(recipe: Recipe, fair: bool = True) -> None:
    """Check methods, data and model options, and (``fair``) that the methods share their protocol. One Fault of all errors.

    A trial of a sweep changes one method alone and is not compared within its recipe: ``fair=False``.
    """
    errors: list[str] = []
    for name, entry in recipe.methods.items():
        fields = dict(entry)
        try:
            kind = registry.method(str(fields.pop("use", name)), recipe.family)
            errors += _check(fields, kind.Config, f"methods.{name}")
        except Fault as error:
            errors.append(f"methods.{name}: {error.what}")
    finders = {
        "data": lambda: registry.dataset(recipe.data.name, recipe.family),
        "model": lambda: registry.network(recipe.model.name),
    }
    for section, finder in finders.items():
        try:
            errors += _check(getattr(recipe, section).options, finder().Config, f"{section}.options")
        except Fault as error:
            errors.append(f"{section}.name: {error.what}")
    if not errors:
        errors += fitness.errors_of(recipe)
    try:
        registry.problem(recipe.problem)
        if not errors:
            errors += _metrics_of_claims(recipe)
    except Fault as error:
        errors.append(f"problem: {error.what}")
    for number, claim in enumerate(recipe.claims):
        for name in (claim.better, claim.than):
            if name not in recipe.methods:
                errors.append(f"claims.{number}: no method '{name}' in the recipe{suggestion(name, recipe.methods)}")
    if not errors and fair:
        errors += protocol.errors_of(recipe, kinds(recipe))
    if errors:
        raise fault(errors, recipe.name)


def validate(target: str | None) -> list[dict[str, Any]]:
    """Check a recipe by name or file, or all there are (None), without a profile and in each of its profiles.

    Raises Fault for the first recipe with errors; ``where`` says in which profile.
    """
    checked = []
    for name in [target] if target is not None else sources():
        for profile in (None, *profiles(name)):
            try:
                resolve(recipe(name, profile))
            except Fault as error:
                place = error.where if profile is None else f"{error.where}, profile {profile}"
                raise Fault(code=error.code, what=error.what, where=place, next=error.next) from error
            checked.append({"name": name, "profile": profile, "valid": True})
    return checked


def profiles(target: str) -> list[str]:
    """The profiles of a recipe by name or file, in its order."""
    found = read_yaml(*_source(target)).get("profiles")
    return list(found) if isinstance(found, dict) else []


def chosen_methods(recipe: Recipe, names: Iterable[str]) -> list[str]:
    """The methods to run: those named, else the recipe's defaults; each once. Raises Fault for an unknown one."""
    picked = list(dict.fromkeys(names)) or list(recipe.defaults)
    for name in picked:
        if name not in recipe.methods:
            raise Fault.usage(f"the suite has no method '{name}'{suggestion(name, recipe.methods)}", "--method", f"suites show {recipe.name}")  # fmt: skip
    return picked
