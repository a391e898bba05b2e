"""Recipes: typed, range-checked, complete.

A YAML file, a profile on top of it, overrides on top of that; all errors at once.
"""

from __future__ import annotations

import copy
import hashlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Union

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from . import protocol
from .documents import flat, merge, not_finite, override, read_yaml, suggestion
from .errors import Fault
from .evidence import Claim, Reported, Tuned
from .layers import check_profiles
from .migrate import migrated
from .names import require_plain
from .private import expanded, written
from .sections import (
    DataSection,
    DiagnosticsSection,
    EvaluateSection,
    ModelSection,
    Section,
    SweepSection,
    TrackingSection,
    TrainSection,
)

Profile = Literal["smoke", "demo", "paper"]


class Recipe(Section):
    """A suite, declared."""

    schema_: Literal[2] = Field(alias="schema", description="version of this form")
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="family_dataset, lower snake case")
    family: str = Field(description="family of methods: its folder in methods/, datasets/ and recipes/")
    title: str = Field(description="one line")
    paper: str = Field("", description="where the method is from")
    problem: str = Field(description="what is measured: a module of holdfast.analysis.problems.evaluator")
    data: DataSection
    model: ModelSection
    methods: dict[str, dict[str, Any]] = Field(
        min_length=1, description="method name -> fields of its Config ('use: NAME' for a variant)"
    )
    defaults: tuple[str, ...] = Field(description="methods that run when none is named")
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    diagnostics: DiagnosticsSection = DiagnosticsSection()
    tracking: TrackingSection = TrackingSection()
    unequal: dict[str, str | dict[str, str]] = Field(
        default_factory=dict,
        description="protocol field -> why the methods differ in it, for all of them or method by method",
    )
    claims: tuple[Claim, ...] = ()
    reported: tuple[Reported, ...] = Field((), description="published values, shown beside those of real data")
    tuned: Tuned | None = Field(None, description="the study that gave fields of a method, where one did")
    sweep: SweepSection = SweepSection()
    profile: Profile | None = Field(None, description="the profile that was applied")

    @field_validator("unequal", mode="before")
    @classmethod
    def _reasons(cls, value: Any) -> Any:
        for path, reason in flat(value, "").items() if isinstance(value, dict) else ():
            if len(reason.split()) < 3:
                raise ValueError(f"{path.removeprefix('.')}: a reason is a sentence, not '{reason}'")
        return value

    @model_validator(mode="after")
    def _names(self) -> Recipe:
        require_plain("method", self.methods)
        unknown = [name for name in self.defaults if name not in self.methods]
        if unknown:
            raise ValueError(f"defaults names methods that the recipe has not: {', '.join(unknown)}")
        if self.diagnostics.gradients and self.train.compile:
            raise ValueError(
                "diagnostics.gradients needs train.compile: false (compiled graphs are freed after one backward)"
            )
        return self


NETWORK = "model.name="


def load(text: str, profile: str | None, overrides: Iterable[str], where: str = "recipe") -> Recipe:
    """A recipe that stands alone (a stored, resolved one) from YAML ``text``, with ``profile`` and ``overrides``."""
    return build(migrated(read_yaml(text, where)), profile, overrides, where)


def build(
    document: Mapping[str, Any],
    profile: str | None,
    overrides: Iterable[str],
    where: str,
    fields_of: Callable[[str], protocol.FieldsOf] | None = None,
) -> Recipe:
    """A recipe from its ``document`` with ``profile`` and then ``overrides`` (``a.b=value``) on top.

    ``fields_of(family)`` says which fields a method has, for the entry ``"*"`` of ``methods``; a resolved recipe has
    none. Raises one Fault that holds all errors.
    """
    whole, errors = copy.deepcopy(dict(document)), list[str]()
    has_fields = None if fields_of is None else fields_of(str(whole.get("family", "")))
    if has_fields is not None:
        whole, errors = protocol.expand(whole, has_fields)
    check_profiles(whole, where)
    profiles = whole.pop("profiles", {}) or {}
    for name in profiles:
        if name not in typing.get_args(Profile):
            errors.append(f"profiles.{name}: no such profile{suggestion(str(name), typing.get_args(Profile))}")
    if profile is not None:
        if profile not in profiles and profile in typing.get_args(Profile):
            errors.append(f"this recipe has no profile '{profile}'{suggestion(profile, profiles)}")
        elif profile not in profiles:
            errors.append(f"unknown profile '{profile}'{suggestion(profile, profiles)}")
        else:
            whole = merge(whole, profiles[profile] or {})
            whole["profile"] = profile
    if has_fields is not None:
        overrides, unknown = protocol.spread_overrides(whole.get("methods"), overrides, has_fields)
        errors += unknown
    sections = [field.alias or name for name, field in Recipe.model_fields.items()]
    for text_ in sorted(overrides, key=lambda text: not text.startswith(NETWORK)):  # before its own options
        _forget_options(whole, text_)
        errors += override(whole, text_, sections)
    errors += [*not_finite(whole), *unknown_names(whole, Recipe)]
    try:
        recipe = Recipe.model_validate(expanded(whole))
    except ValidationError as error:
        errors += new_messages(error, errors)
        raise fault(errors, where) from error
    if errors:
        raise fault(errors, where)
    return recipe


def _forget_options(document: dict[str, Any], text: str) -> None:
    """Leave out the options of a network that an override replaces by another: they are that network's own."""
    model = document.get("model")
    if text.startswith(NETWORK) and isinstance(model, dict) and model.get("name") != text.removeprefix(NETWORK):
        model.pop("options", None)


def fault(errors: list[str], where: str) -> Fault:
    """One Fault of all ``errors``."""
    head = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return Fault.recipe("\n  ".join([f"{head}:", *errors]), where, "correct these, then: suites validate FILE")


def messages(error: ValidationError, prefix: str = "") -> list[str]:
    """Pydantic's errors, a line each: path, what is wrong, what was given."""
    lines = []
    for item in error.errors():
        path = ".".join([prefix, *map(str, item["loc"])] if prefix else list(map(str, item["loc"])))
        given, text = item.get("input"), item["msg"].removeprefix("Value error, ")
        tail = "" if isinstance(given, dict | list | BaseModel) or item["type"] == "missing" else f" (given: {given!r})"
        lines.append(f"{path or 'recipe'}: {text}{tail}" if item["type"] != "extra_forbidden" else f"{path}: {text}")
    return lines


def new_messages(error: ValidationError, reported: list[str], prefix: str = "") -> list[str]:
    """Pydantic's errors without the unknown fields that ``reported`` names already, with what was probably meant."""
    named = {line.partition(":")[0] for line in reported}
    lines = []
    for line in messages(error, prefix):
        path, _, what = line.partition(": ")
        if what != "Extra inputs are not permitted":
            lines.append(line)
        elif path not in named:
            lines.append(f"{path}: no such field")
    return lines


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return next((m for a in typing.get_args(annotation) if (m := _model_of(a))), None)
    return None


def unknown_names(document: Mapping[str, Any], model: type[BaseModel], prefix: str = "") -> list[str]:
    """Fields of ``document`` that ``model`` does not know, at any depth, each with what was probably meant."""
    errors = []
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, value in document.items():
        if name not in fields:
            errors.append(f"{prefix}{name}: no such field{suggestion(str(name), fields)}")
            continue
        inner = _model_of(fields[name].annotation)
        if inner is not None and isinstance(value, dict):
            errors += unknown_names(value, inner, f"{prefix}{name}.")
    return errors


def to_document(recipe: Recipe) -> dict[str, Any]:
    """The resolved recipe as the document of :func:`to_yaml`."""
    document = recipe.model_dump(by_alias=True, mode="json")
    if (profile := document.pop("profile")) is not None:
        document["profile"] = profile
    if document["tuned"] is None:
        del document["tuned"]
    return written(document)


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML that :func:`load` reads back to the same."""
    return yaml.safe_dump(to_document(recipe), sort_keys=False, allow_unicode=True, width=120)


def digest(recipe: Recipe) -> str:
    """sha256 of the resolved recipe: equal recipes, equal digests."""
    return hashlib.sha256(to_yaml(recipe).encode()).hexdigest()
