"""Fair comparisons: fields that the methods of a suite must share, exceptions with their reasons, and one value for
every method (``"*"``).

A field of a method's Config is protocol where it is marked so (:func:`holdfast.methods.base.protocol`): memory, budget,
batching, augmentation, widths. Its value must be one over all methods that have it; so must ``total_epochs``, what
:meth:`~holdfast.methods.base.Method.total_epochs` gives. What differs on purpose is listed under the recipe's
``unequal`` with a reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .documents import suggestion

if TYPE_CHECKING:
    from ...methods.base import Method
    from .recipe import Recipe

EVERY = "*"
BUDGET = "total_epochs"
BY_HAND = "changed for this run: "
FieldsOf = Callable[[str, Mapping[str, Any]], Collection[str]]  # (entry, its fields) -> fields of its method's Config
Kinds = Mapping[str, "type[Method]"]


# -- one value for every method --


def expand(document: Mapping[str, Any], fields_of: FieldsOf) -> tuple[dict[str, Any], list[str]]:
    """The recipe ``document`` (with its ``profiles``) with every ``methods: {"*": ...}`` written into the methods whose
    Config has the field, and the errors.

    A method's own value counts more than ``"*"`` beside it; ``"*"`` of a profile counts more than all that is given
    outside the profile.
    """
    made, errors = dict(document), list[str]()
    base = document.get("methods")
    if not isinstance(base, Mapping):
        return made, errors
    made["methods"] = _spread(base, {}, "methods", fields_of, errors)
    profiles = document.get("profiles")
    if isinstance(profiles, Mapping):
        made["profiles"] = {
            name: {**layer, "methods": _spread(layer["methods"], base, f"profiles.{name}.methods", fields_of, errors)}
            if isinstance(layer, Mapping) and isinstance(layer.get("methods"), Mapping)
            else layer
            for name, layer in profiles.items()
        }
    return made, errors


def _spread(
    layer: Mapping[str, Any], base: Mapping[str, Any], where: str, fields_of: FieldsOf, errors: list[str]
) -> dict[str, Any]:
    """``layer`` of methods (on top of ``base``) without its ``"*"``."""
    own = {name: entry for name, entry in layer.items() if name != EVERY}
    if EVERY not in layer:
        return own
    values = layer[EVERY]
    if not isinstance(values, Mapping):
        errors.append(f'{where}."*": must map fields to the values of every method')
        return own
    used: set[str] = set()
    known: set[str] = set()
    made = dict(own)
    for name in [n for n in {**base, **own} if n != EVERY]:
        entry, below = own.get(name, {}), base.get(name) or {}
        if not isinstance(entry or {}, Mapping) or not isinstance(below, Mapping):
            continue  # the recipe's own check says what is wrong with it
        has = fields_of(name, {**below, **(entry or {})})
        given = {field: value for field, value in values.items() if field in has}
        used, known = used | set(given), known | set(has)
        if given:
            made[name] = {**given, **(entry or {})}
    errors += [
        f'{where}."*".{field}: no method of the recipe has this field{suggestion(str(field), known)}'
        for field in values
        if field not in used
    ]
    return made


def spread_overrides(methods: Any, overrides: Iterable[str], fields_of: FieldsOf) -> tuple[list[str], list[str]]:
    """Overrides with each ``methods.*.field=value`` written out for the methods that have the field, and the errors."""
    made, errors = list[str](), list[str]()
    for text in overrides:
        head, star, rest = text.partition(f"methods.{EVERY}.")
        if head or not star or not isinstance(methods, Mapping):
            made.append(text)
            continue
        field = rest.partition("=")[0]
        has = {name: fields_of(name, entry or {}) for name, entry in methods.items()}
        names = [name for name, fields in has.items() if field in fields]
        made += [f"methods.{name}.{rest}" for name in names]
        if not names:
            known = set().union(*has.values())
            errors.append(f"methods.*.{field}: no method of the recipe has this field{suggestion(field, known)}")
    return made, errors


# -- equality --


def settings(recipe: Recipe, kinds: Kinds) -> dict[str, dict[str, Any]]:
    """Protocol field -> method -> value, of the methods that have it.

    Raises pydantic's ValidationError for fields that a Config refuses.
    """
    table: dict[str, dict[str, Any]] = {}
    for name, kind in kinds.items():
        own = settings_of(kind, recipe.methods[name], recipe.train.epochs, recipe.train.epochs_first)
        for field, value in own.items():
            table.setdefault(field, {})[name] = value
    return table


def settings_of(
    kind: type[Method], entry: Mapping[str, Any], epochs: int, epochs_first: int | None = None
) -> dict[str, Any]:
    """Protocol field -> value, of one method.

    ``entry`` is what a recipe says of it, ``epochs`` and ``epochs_first`` are those of ``train``.
    """
    from ...methods.base import is_protocol

    config = kind.Config(**{field: value for field, value in entry.items() if field != "use"})
    values = {field: getattr(config, field) for field, info in kind.Config.model_fields.items() if is_protocol(info)}
    budget = list(dict.fromkeys(kind.total_epochs(config, number) for number in (epochs_first or epochs, epochs)))
    if None not in budget:
        values[BUDGET] = budget[0] if len(budget) == 1 else budget
    return values


def differences(entrants: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]]) -> list[dict[str, Any]]:
    """Protocol fields in which ``entrants`` (name -> values and reasons by field) differ.

    One row a field: its name, the values as text with who has them, and the reasons given.
    """
    rows: list[dict[str, Any]] = []
    for field in dict.fromkeys(field for values, _ in entrants.values() for field in values):
        groups = _groups({name: values[field] for name, (values, _) in entrants.items() if field in values})
        if len(groups) > 1:
            why = dict.fromkeys(reasons[field] for _, reasons in entrants.values() if field in reasons)
            rows.append({"field": field, "values": groups, "why": list(why)})
    return rows


def errors_of(recipe: Recipe, kinds: Kinds) -> list[str]:
    """A line for each protocol field in which the methods differ without a reason, and for each needless exception."""
    table = settings(recipe, kinds)
    lines = [line for field, values in table.items() for line in _errors(field, values, recipe.unequal.get(field))]
    return lines + [
        f"unequal.{field}: no method has such a protocol field{suggestion(field, table)}"
        for field in recipe.unequal
        if field not in table
    ]


def _errors(field: str, values: Mapping[str, Any], excused: str | Mapping[str, str] | None) -> list[str]:
    """What is wrong with one field: ``excused`` is a reason for all methods, or reasons by method."""
    if isinstance(excused, str):
        needless = len(_groups(values)) < 2
        return [f"unequal.{field}: the methods do not differ in it; leave the exception out"] if needless else []
    excused = excused or {}
    lines = [
        f"unequal.{field}.{name}: no such method has this field{suggestion(name, values)}"
        for name in excused
        if name not in values
    ]
    rest = {name: value for name, value in values.items() if name not in excused}
    groups = _groups(rest)
    if len(groups) > 1:
        values_given = in_words(groups)
        give = (
            "give all the same epochs in sum over their stages"
            if field == BUDGET
            else f'give all one value (methods: {{"*": {{{field}: VALUE}}}})'
        )
        return [*lines, f"{field}: the methods do not share it: {values_given}; {give}, or say why not under 'unequal'"]
    every = _groups(values)
    for name in excused:
        if name in values and (_text(values[name]) in groups or (not rest and len(every) < 2)):
            lines.append(f"unequal.{field}.{name}: it has the value of the others; leave the exception out")
    return lines


def _text(value: Any) -> str:
    return json.dumps(value, default=str)


def in_words(groups: Mapping[str, Sequence[str]]) -> str:
    """Values, each with those that have it: ``0.01 (er, mm), 0.03 (coconut)``."""
    return ", ".join(f"{text} ({', '.join(names)})" for text, names in groups.items())


def _groups(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Value as text -> the methods that have it."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(_text(value), []).append(name)
    return groups


# -- overrides --


def by_hand(base: Recipe, changed: Recipe, kinds: Kinds, given: Sequence[str]) -> Recipe:
    """``changed`` (``base`` with the overrides ``given``) with its ``unequal`` brought up to date.

    Differences that the overrides make are entered there, exceptions that they make needless are left out. What is
    wrong in ``base`` itself stays wrong.
    """
    old_kinds = {name: kind for name, kind in kinds.items() if name in base.methods}  # an override may add a method
    before, after = settings(base, old_kinds), settings(changed, kinds)
    unequal: dict[str, Any] = dict(changed.unequal)
    for field, values in after.items():
        old, excused = before.get(field, {}), unequal.get(field)
        if not _errors(field, values, excused) or _errors(field, old, base.unequal.get(field)):
            continue
        moved = {name: _reason(name, given) for name, value in values.items() if old.get(name) != value}
        if isinstance(excused, str):
            del unequal[field]  # nothing differs any more
            continue
        reasons = {name: reason for name, reason in (excused or {}).items() if name not in moved} | moved
        rest = _groups({name: value for name, value in values.items() if name not in reasons})
        reasons = {name: reason for name, reason in reasons.items() if _text(values[name]) not in rest}
        unequal[field] = {} if len(_groups(values)) < 2 else reasons
        if not unequal[field]:
            del unequal[field]
    return changed.model_copy(update={"unequal": unequal})


def _reason(name: str, given: Sequence[str]) -> str:
    mine = [text for text in given if text.startswith((f"methods.{name}.", "train."))]
    return BY_HAND + ", ".join(mine or given)


def warnings_of(recipe: Recipe) -> list[str]:
    """A line for each difference that overrides made."""
    lines = []
    for field, reasons in recipe.unequal.items():
        mine = {} if isinstance(reasons, str) else {n: r for n, r in reasons.items() if r.startswith(BY_HAND)}
        if mine:
            how = "; ".join(dict.fromkeys(reason.removeprefix(BY_HAND) for reason in mine.values()))
            lines.append(
                f"{field} of {', '.join(mine)} is not that of the suite's other methods ({how}): "
                f"recipe.yaml says so under 'unequal'; for every method: 'methods.*.FIELD=VALUE'"
            )
    return lines
