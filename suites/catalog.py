"""Finds recipes, methods, data sets and models: built in, a user's file, third parties' entry points."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from . import protocol
from .documents import read_yaml, suggestion
from .errors import Fault
from .recipe import Recipe, fault, load, new_messages, read_file, unknown_names

if TYPE_CHECKING:
    from ..analysis.problems import Evaluator
    from ..methods.base import Method

PACKAGE = __package__.rpartition(".")[0]


def _entry_points(group: str) -> dict[str, metadata.EntryPoint]:
    return _read_entry_points(metadata.entry_points, group)


@functools.lru_cache(maxsize=16)
def _read_entry_points(reader: Callable[..., Any], group: str) -> dict[str, metadata.EntryPoint]:
    """Entry points of a group; reading those of every installed package takes 10 ms, once a process."""
    return {point.name: point for point in reader(group=group)}


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
    folder = resources.files(f"{PACKAGE}.suites") / "recipes"
    for item in sorted(folder.iterdir(), key=lambda i: i.name):
        if item.name.endswith(".yaml"):
            found[item.name.removesuffix(".yaml")] = item.read_text(encoding="utf-8")
    for name, point in _entry_points("holdfast.suites").items():
        given = _load_point(point)
        if given is not None:
            found[name] = given.read_text(encoding="utf-8") if isinstance(given, Path) else str(given)
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
        raise Fault(
            code="usage", what=f"unknown suite '{name}'{suggestion(name, known)}", where=name, next="suites list"
        )
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


def _fields(name: str, entry: Mapping[str, Any]) -> Collection[str]:
    """Fields of a method's Config; none of an unknown one."""
    kind = methods().get(str(entry.get("use", name)))
    return kind.Config.model_fields if kind else ()


def kinds(recipe: Recipe) -> dict[str, type[Method]]:
    """The class of every method of the recipe."""
    return {name: kind_of(recipe, name) for name in recipe.methods}


def protocol_of(document: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Of one method of a run's recipe: protocol field -> value, and -> why it differs. Nothing of a method that is not known any more."""
    entry, train = document["methods"][name], document["train"]
    given = {f: r.get(name) if isinstance(r, dict) else r for f, r in (document.get("unequal") or {}).items()}
    try:
        kind = method(str(entry.get("use", name)))
        values = protocol.settings_of(kind, entry, train.get("epochs", 1), train.get("epochs_first"))
    except (Fault, ValidationError):
        return {}, {}
    return values, {field: reason for field, reason in given.items() if reason}


def _modules(package: str) -> dict[str, str]:
    """Module stem -> full name, of a package's direct modules, without importing them."""
    base = importlib.import_module(f"{PACKAGE}.{package}")
    return {m.name: f"{base.__name__}.{m.name}" for m in pkgutil.iter_modules(base.__path__) if not m.ispkg}


def methods() -> dict[str, type[Method]]:
    """All methods by name: classes of holdfast.methods that carry a name, and entry points ``holdfast.methods``."""
    from ..methods.base import Method

    for stem, module in _modules("methods").items():
        if stem != "strategy":  # the adapter imports avalanche and holds no method
            importlib.import_module(module)
    found = {}
    queue: list[type[Method]] = [Method]
    while queue:
        kind = queue.pop()
        queue += kind.__subclasses__()
        if "name" in vars(kind) and kind.name and kind.__module__.startswith(f"{PACKAGE}.methods."):
            found[kind.name] = kind
    for name, point in _entry_points("holdfast.methods").items():
        given = _load_point(point)
        if given is not None:
            found[name] = given
    return found


def method(name: str) -> type[Method]:
    """A method's class by name."""
    known = methods()
    if name not in known:
        raise Fault(
            code="recipe", what=f"unknown method '{name}'{suggestion(name, known)}", where="methods", next="suites list"
        )
    return known[name]


def kind_of(recipe: Recipe, name: str) -> type[Method]:
    """The class of a method of the recipe: the one that its entry ``use`` names, else that of its own name."""
    return method(str(recipe.methods[name].get("use", name)))


def _module(package: str, name: str, group: str, wanted: tuple[str, ...], what: str, where: str) -> ModuleType:
    known = _modules(package)
    points = _entry_points(group)
    given = _load_point(points[name]) if name in points else None
    if given is None and name in known:
        given = importlib.import_module(known[name])
    if given is None or not all(hasattr(given, attribute) for attribute in wanted):
        raise Fault(
            code="recipe",
            what=f"unknown {what} '{name}'{suggestion(name, {*known, *points})}",
            where=where,
            next="suites list",
        )
    return given


def dataset(name: str) -> ModuleType:
    """A data set's module: ``Config`` and ``load(config, root, progress) -> Source``."""
    return _module("datasets", name, "holdfast.datasets", ("Config", "load"), "data set", "data.name")


def model(name: str) -> ModuleType:
    """A model's module: ``Config`` and ``build(config, info, seed) -> nn.Module``."""
    return _module("methods.networks", name, "holdfast.networks", ("Config", "build"), "model", "model.name")


def problem(name: str) -> type[Evaluator]:
    """A problem's evaluator by name: ``PROBLEM`` of a module of holdfast.analysis.problems, or an entry point's module."""
    kind: type[Evaluator] = _module(
        "analysis.problems", name, "holdfast.problems", ("PROBLEM",), "problem", "problem"
    ).PROBLEM
    return kind


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
            errors += _check(fields, method(str(fields.pop("use", name))).Config, f"methods.{name}")
        except Fault as error:
            errors.append(f"methods.{name}: {error.what}")
    for section, finder in (("data", dataset), ("model", model)):
        chosen = getattr(recipe, section)
        try:
            errors += _check(chosen.options, finder(chosen.name).Config, f"{section}.options")
        except Fault as error:
            errors.append(f"{section}.name: {error.what}")
    try:
        problem(recipe.problem)
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
            raise Fault(
                code="usage", what=f"the suite has no method '{name}'{suggestion(name, recipe.methods)}", where="--method",
                next=f"suites show {recipe.name}",
            )  # fmt: skip
    return picked
