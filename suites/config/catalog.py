"""Recipes by name or file: loaded, checked against what they name, listed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from . import fitness, layers, measures, protocol, registry, scratch, sources, training
from .documents import suggestion
from .errors import Fault
from .recipe import Recipe, build, fault, new_messages, unknown_names

if TYPE_CHECKING:
    pass


def recipes() -> list[dict[str, Any]]:
    """What ``suites list`` prints; imports nothing heavy."""
    rows = []
    for name, recipe in sources.stored().items():
        try:
            document = layers.merged(sources.layers_of(recipe))
        except Fault as fault_:
            if recipe.origin == registry.PACKAGE:
                raise
            warnings.warn(f"the suite '{name}' of {recipe.origin} is left out: {fault_.what}", stacklevel=2)
            continue
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
    """A recipe by name as YAML that stands alone: with all that it extends, without comments."""
    document = layers.merged(sources.layers(name))
    known = [field.alias or key for key, field in Recipe.model_fields.items()]
    keys = [key for key in known if key in document] + [key for key in document if key not in known]
    document = {key: document[key] for key in keys}
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, allow_unicode=True, width=10**6)


def recipe(target: str, profile: str | None, overrides: Iterable[str] = ()) -> Recipe:
    """A recipe by name or file, with what it extends, a profile and overrides.

    Where overrides make the methods differ in a protocol field, the recipe says so under ``unequal``
    (:func:`protocol.by_hand`).
    """
    given, document = [scratch.pin_override(text) for text in overrides], layers.merged(sources.layers(target))
    changed = build(document, profile, given, target, _fields)
    if not given:
        return changed
    try:
        base = build(document, profile, (), target, _fields)
        return protocol.by_hand(base, changed, registry.kinds(changed), given)
    except (Fault, ValidationError):  # a method or a value that is wrong: resolve names it
        return changed


def _fields(family: str) -> protocol.FieldsOf:
    """Fields of the Config of a method in a recipe of ``family``; none of an unknown one."""

    def of(name: str, entry: Mapping[str, Any]) -> Collection[str]:
        try:
            return registry.method(str(entry.get("use", name)), family).Config.model_fields
        except Fault:  # resolve names it
            return ()

    return of


def protocol_of(document: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Of one method of a run's recipe: protocol field -> value, and protocol field -> why it differs.

    Both are empty for a method that is not known any more.
    """
    entry, train = document["methods"][name], document["train"]
    given = {f: r.get(name) if isinstance(r, dict) else r for f, r in (document.get("unequal") or {}).items()}
    try:
        kind = registry.method(str(entry.get("use", name)), str(document.get("family", "")))
        values = protocol.settings_of(kind, entry, train.get("epochs", 1), train.get("epochs_first"))
    except (Fault, ValidationError):
        return {}, {}
    return values, {field: reason for field, reason in given.items() if reason}


def _check(options: dict[str, Any], config: type[BaseModel], prefix: str) -> list[str]:
    errors = unknown_names(options, config, f"{prefix}.")
    try:
        config(**options)
    except ValidationError as error:
        errors += new_messages(error, errors, prefix)
    return errors


def _named(recipe: Recipe) -> Iterator[tuple[str, Any, Callable[[str], Any]]]:
    """Path, section and finder of everything in the recipe that has a ``name`` and ``options`` of its Config."""

    def dataset(name: str) -> Any:
        return registry.dataset(name, recipe.family)

    yield "data", recipe.data, dataset
    yield "model", recipe.model, registry.network
    for number, step in enumerate(recipe.data.transforms):
        yield f"data.transforms.{number}", step, registry.transform
    for name, rows in recipe.evaluate.sets.items():
        path = f"evaluate.sets.{name}"
        if rows.data is not None:
            yield f"{path}.data", rows.data, dataset
        for number, change in enumerate(rows.transforms):
            yield f"{path}.transforms.{number}", change, registry.transform


def _of_problem(recipe: Recipe) -> list[str]:
    """What is wrong with the options of the recipe's problem, or not installed of what they ask for."""
    kind, options = registry.problem(recipe.problem), recipe.evaluate.options
    errors = _check(options, kind.Config, "evaluate.options")
    return errors or [f"evaluate.options.{line}" for line in kind.lacks(kind.Config(**options))]


def _selection(recipe: Recipe) -> list[str]:
    try:
        measures.selecting(measures.of_recipe(recipe), recipe.train.selection)
    except Fault as error:
        return [f"{error.where}: {error.what}"]
    return []


def _metrics_of_claims(recipe: Recipe) -> list[str]:
    known, errors = measures.of_recipe(recipe), []
    named = [(f"claims.{number}", claim.metric) for number, claim in enumerate(recipe.claims)]
    named += [(f"reported.{number}", value.metric) for number, value in enumerate(recipe.reported)]
    for where, metric in named:
        try:
            if measures.look_up(known, metric, "claims", "name another metric").higher_is_better is None:
                errors.append(f"{where}.metric: of {metric} neither way is better")
        except Fault as error:
            errors.append(f"{where}.metric: {error.what}")
    return errors


def resolve(recipe: Recipe, fair: bool = True) -> None:
    """Check methods, data and model options, and (``fair``) that the methods share their protocol.

    Raises one Fault of all errors.

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
    for path, section, finder in _named(recipe):
        try:
            errors += _check(section.options, finder(section.name).Config, f"{path}.options")
        except Fault as error:
            errors.append(f"{path}.name: {error.what}")
    errors += training.errors_of(recipe.train)
    if not errors:
        errors += fitness.errors_of(recipe)
    try:
        errors += _of_problem(recipe)
        if not errors:
            errors += _metrics_of_claims(recipe) + _selection(recipe)
    except Fault as error:
        errors.append(f"problem: {error.what}")
    compared = [(f"claims.{n}", name) for n, claim in enumerate(recipe.claims) for name in (claim.better, claim.than)]
    for where, name in [*compared, *((f"reported.{n}", one.method) for n, one in enumerate(recipe.reported))]:
        if name not in recipe.methods:
            errors.append(f"{where}: no method '{name}' in the recipe{suggestion(name, recipe.methods)}")
    if not errors and fair:
        errors += protocol.errors_of(recipe, registry.kinds(recipe))
    if errors:
        raise fault(errors, recipe.name)


def validate(target: str | None) -> list[dict[str, Any]]:
    """Check a recipe by name or file, or all there are (None), without a profile and in each of its profiles.

    Raises Fault for the first recipe with errors; ``where`` says in which profile.
    """
    checked = []
    for name in [target] if target is not None else sources.stored():
        for profile in (None, *profiles(name)):
            try:
                resolve(recipe(name, profile))
            except Fault as error:
                where = error.where if profile is None else f"{error.where}, profile {profile}"
                raise Fault(code=error.code, what=error.what, where=where, next=error.next) from error
            checked.append({"name": name, "profile": profile, "valid": True})
    return checked


def profiles(target: str) -> list[str]:
    """The profiles of a recipe by name or file, in its order."""
    declared = layers.merged(sources.layers(target)).get("profiles")
    return list(declared) if isinstance(declared, dict) else []


def chosen_methods(recipe: Recipe, names: Iterable[str]) -> list[str]:
    """The methods to run: those named, else the recipe's defaults; each once. Raises Fault for an unknown one."""
    picked = list(dict.fromkeys(names)) or list(recipe.defaults)
    for name in picked:
        if name not in recipe.methods:
            what = f"the suite has no method '{name}'{suggestion(name, recipe.methods)}"
            raise Fault.usage(what, "--method", f"suites show {recipe.name}")
    return picked
