"""Plans: which classes are spoken, with which values of every factor, and how factors hang together; data, checked.

A plan is a mapping (YAML), of which every field may be left out but ``classes``:

| field | meaning |
|---|---|
| ``extends`` | name of a plan that comes with Holdfast; the fields here take the place of its own |
| ``classes`` | ``{scenarios: [alarm, ...]}`` or ``{intents: [alarm_set, ...]}``; a number takes the first so many |
| ``label`` | ``scenario`` or ``intent`` |
| ``rows`` | rows of each class in ``train``, ``valid``, ``test`` |
| ``experiences`` | number E; classes are dealt out to them |
| ``factors`` | values of accent, voice, synthesiser, ranges ``[low, high]`` of rate, pitch, room; or either by split |
| ``noise_db`` | range of the signal-to-noise ratio in dB |
| ``bias`` | ``{factor~of: b}``: a share b of training rows has the value that belongs to the value of ``of`` |
| ``drift`` | ``{factor: [one value an experience]}`` |
| ``drift_strength`` | share of an experience's training rows that has its value |
| ``overlap`` | share of rows whose experience is drawn without regard to their class |
| ``imbalance`` | ``{factor: ratio}``: how many times as frequent the first value (low end) is as the last |
| ``target`` | ``factors`` and ``noise_db`` of target rows, where the data has a background and a target |

Bias and drift are planted in training and validation rows; test rows have all values alike.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from ..spoken import grammar, speaker
from ..spoken.grammar import SPLITS
from .factors import ACCENTS, DEFAULTS, FACTORS, LEVELS, MEASURED, NAMED, OF

FIELDS: tuple[str, ...] = ("extends", "classes", "label", "rows", "experiences", "factors", "noise_db", "bias", "drift")
FIELDS += ("drift_strength", "overlap", "imbalance", "target")
Values = tuple[Any, ...]  # of a named factor its values, of a measured one (low, high)
By = Mapping[str, Mapping[str, Values]]  # factor -> split -> values


class PlanError(ValueError):
    """All that is wrong with a plan, a line each."""


@dataclass(frozen=True)
class Plan:
    """A checked plan; fields as in the table above. ``bias``: (factor, of) -> strength."""

    label: Literal["scenario", "intent"]
    intents: tuple[str, ...]
    rows: Mapping[str, int]
    factors: By
    experiences: int = 1
    bias: Mapping[tuple[str, str], float] = field(default_factory=dict)
    drift: Mapping[str, Values] = field(default_factory=dict)
    drift_strength: float = 1.0
    overlap: float = 0.0
    imbalance: Mapping[str, float] = field(default_factory=dict)
    target: By | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The values of the label, in their order."""
        if self.label == "intent":
            return self.intents
        return tuple(dict.fromkeys(intent.partition("_")[0] for intent in self.intents))

    def levels(self, factor: str) -> Values:
        """What a factor's values are counted by: names, or parts (low, high) of its training range."""
        values = self.factors[factor]["train"]
        if factor in NAMED:
            return values
        low, high = values
        edges = [low + (high - low) * k / LEVELS for k in range(LEVELS + 1)]
        return tuple(itertools.pairwise(edges))

    def own(self, factor: str, of: str, value: str) -> Any:
        """The level of ``factor`` that belongs to ``value`` of ``of``: both in their order, round and round."""
        order = self.order(of)
        levels = self.levels(factor)
        return levels[order.index(value) % len(levels)]

    def order(self, of: str) -> tuple[str, ...]:
        """The values of what a bias may follow, in their order."""
        if of == "intent":
            return self.intents
        if of == "scenario":
            return tuple(dict.fromkeys(intent.partition("_")[0] for intent in self.intents))
        return self.factors[of]["train"]


@cache
def stored() -> dict[str, dict[str, Any]]:
    """The plans that come with Holdfast, as they are written."""
    files = [f for f in resources.files(__package__).iterdir() if f.name.endswith(".yaml")]
    return {f.name.removesuffix(".yaml"): yaml.safe_load(f.read_text(encoding="utf-8")) for f in sorted(files, key=str)}


def written(plan: str | Mapping[str, Any]) -> dict[str, Any]:
    """A plan as one mapping, what it extends included. Raises PlanError for a plan that there is not."""
    document: dict[str, Any] = {"extends": plan} if isinstance(plan, str) else dict(plan)
    base = document.pop("extends", None)
    if base is None:
        return document
    if base not in stored():
        raise PlanError(f"no plan '{base}'{_like(str(base), stored())} (there are: {', '.join(stored())})")
    below = written(stored()[base])
    for name in ("factors", "rows", "target"):  # the others are one thought each and are replaced
        if isinstance(below.get(name), Mapping) and isinstance(document.get(name), Mapping):
            document[name] = {**below[name], **document[name]}
    return {**below, **document}


def _like(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f" - did you mean {near[0]}?" if near else ""


def read(plan: str | Mapping[str, Any]) -> Plan:
    """The plan of a name or a mapping. Raises PlanError with all that is wrong with it."""
    document = written(plan)
    faults: list[str] = [f"no field '{n}'{_like(str(n), FIELDS)}" for n in document if n not in FIELDS]
    label = document.get("label", "intent")
    if label not in ("scenario", "intent"):
        faults.append(f"label: '{label}' is neither scenario nor intent")
        label = "intent"
    intents = _classes(document.get("classes"), faults)
    experiences = _whole(document, "experiences", 1, 1, 50, faults)
    given_rows = {"train": 40, "valid": 5, "test": 10} | _mapping(document, "rows", faults)
    faults += [f"rows: no split '{n}'{_like(str(n), SPLITS)}" for n in given_rows if n not in SPLITS]
    rows = {split: _whole(given_rows, split, 1, 1, 100_000, faults, "rows.") for split in SPLITS}
    factors = _factors(document, DEFAULTS, "", faults)
    target = None
    if document.get("target") is not None:
        extra = _mapping(document, "target", faults)
        own = {"factors": {n: v for n, v in extra.items() if n != "noise_db"}, "noise_db": extra.get("noise_db")}
        target = _factors(own, factors, "target.", faults)
    _stop(faults)  # what follows reads the values
    made = Plan(label, intents, rows, factors, experiences, target=target)
    made = replace(
        made,
        bias=_bias(document, made, faults),
        drift=_drift(document, made, faults),
        drift_strength=_share(document, "drift_strength", 1.0, faults),
        overlap=_share(document, "overlap", 0.0, faults),
        imbalance=_imbalance(document, made, faults),
    )
    _stop(faults)
    _stop(_together(made))
    return made


def _stop(faults: Sequence[str]) -> None:
    """Raise PlanError where there are faults; what three splits share is said once."""
    if faults:
        raise PlanError("\n".join(dict.fromkeys(faults)))


def at_strengths(
    plan: Plan,
    *,
    bias: float | None = None,
    drift: float | None = None,
    noise: float | None = None,
    overlap: float | None = None,
    imbalance: float | None = None,
) -> Plan:
    """The plan with these in place of its own: strength of every bias and of the drift, noise in dB of all rows,
    overlap, ratio of every imbalance. None: as the plan says. Raises PlanError for one of what the plan does not
    declare.
    """
    faults = []
    for name, value, there in (("bias", bias, plan.bias), ("drift", drift, plan.drift)):
        if value is not None and not there:
            faults.append(f"{name}: the plan declares none, so there is nothing to set")
    if imbalance is not None and not plan.imbalance:
        faults.append("imbalance: the plan declares none, so there is nothing to set")
    if overlap is not None and plan.experiences == 1:
        faults.append("overlap: the plan has one experience")
    if noise is not None and "noise" in plan.drift:
        faults.append("noise: it drifts in this plan; set drift instead")
    _stop(faults)
    if bias is not None:
        plan = replace(plan, bias=dict.fromkeys(plan.bias, bias))
    if drift is not None:
        plan = replace(plan, drift_strength=drift)
    if overlap is not None:
        plan = replace(plan, overlap=overlap)
    if imbalance is not None:
        plan = replace(plan, imbalance=dict.fromkeys(plan.imbalance, imbalance))
    if noise is not None:
        everywhere = dict.fromkeys(SPLITS, (noise, noise))
        plan = replace(plan, factors={**plan.factors, "noise": everywhere})
        if plan.target is not None:
            plan = replace(plan, target={**plan.target, "noise": everywhere})
    return plan


# -- the fields --------------------------------------------------------------------------------------------------------


def _mapping(document: Mapping[str, Any], name: str, faults: list[str]) -> dict[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.append(f"{name}: {value!r} is no mapping of names to values")
        return {}
    return dict(value)


def _whole(
    document: Mapping[str, Any], name: str, default: int, low: int, high: int, faults: list[str], where: str = ""
) -> int:
    value = document.get(name, default)
    if type(value) is not int or not low <= value <= high:
        faults.append(f"{where}{name}: {value!r} is no whole number from {low} to {high}")
        return default
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _share(document: Mapping[str, Any], name: str, default: float, faults: list[str]) -> float:
    value = document.get(name, default)
    if not _number(value) or not 0 <= value <= 1:
        faults.append(f"{name}: {value!r} is no share between 0 and 1")
        return default
    return float(value)


def _classes(given: Any, faults: list[str]) -> tuple[str, ...]:
    everything = grammar.intents()
    if not isinstance(given, Mapping) or len(given) != 1 or next(iter(given)) not in ("scenarios", "intents"):
        faults.append("classes: write {scenarios: [names]} or {intents: [names]}, or a number in the place of names")
        return everything
    kind, names = next(iter(given.items()))
    known = list(dict.fromkeys(i.partition("_")[0] for i in everything)) if kind == "scenarios" else list(everything)
    if type(names) is int and 2 <= names <= len(known):
        names = known[:names]
    if not isinstance(names, Sequence) or isinstance(names, str) or not 2 <= len(set(map(str, names))) == len(names):
        faults.append(f"classes.{kind}: two names or more, each once, or a number from 2 to {len(known)}")
        return everything
    unknown = [str(name) for name in names if name not in known]
    faults += [f"classes.{kind}: no {kind[:-1]} '{name}'{_like(name, known)}" for name in unknown]
    if kind == "intents":
        return tuple(name for name in names if name in known)
    return tuple(i for name in names for i in everything if i.partition("_")[0] == name)


def _factors(document: Mapping[str, Any], default: Mapping[str, Any], where: str, faults: list[str]) -> By:
    given = {**_mapping(document, "factors", faults)}
    if "noise" in given:
        faults.append(f"{where}factors.noise: the field is noise_db")
    if document.get("noise_db") is not None:
        given["noise"] = document["noise_db"]
    faults += [f"{where}factors: no factor '{n}'{_like(str(n), FACTORS)}" for n in given if n not in FACTORS]
    made = {}
    for name in FACTORS:
        values = given.get(name, default[name])
        by_split = values if isinstance(values, Mapping) else dict.fromkeys(SPLITS, values)
        at = f"{where}{'noise_db' if name == 'noise' else f'factors.{name}'}"
        if set(by_split) != set(SPLITS):
            faults.append(f"{at}: a list, or one for each of {', '.join(SPLITS)}")
            by_split = dict.fromkeys(SPLITS, DEFAULTS[name])
        check: Callable[[str, str, Any, list[str]], Values] = _names if name in NAMED else _range
        made[name] = {split: check(at, name, by_split[split], faults) for split in SPLITS}
    return made


def _names(where: str, factor: str, values: Any, faults: list[str]) -> Values:
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, Sequence) or not values or len(set(map(str, values))) != len(values):
        faults.append(f"{where}: a list of names, each once")
        return tuple(DEFAULTS[factor])
    known = NAMED[factor]
    for value in values:
        if value not in known:
            faults.append(f"{where}: no {factor} '{value}'{_like(str(value), known)} (there are: {', '.join(known)})")
    return tuple(values)


def _range(where: str, factor: str, values: Any, faults: list[str]) -> Values:
    low, high = MEASURED[factor]
    values = [values, values] if _number(values) else values
    whole = isinstance(values, Sequence) and len(values) == 2 and all(_number(value) for value in values)
    if not whole or not low <= values[0] <= values[1] <= high:
        faults.append(f"{where}: {values!r} is no range [low, high] within {low} to {high}")
        return tuple(DEFAULTS[factor])
    return float(values[0]), float(values[1])


def _bias(document: Mapping[str, Any], plan: Plan, faults: list[str]) -> dict[tuple[str, str], float]:
    made: dict[tuple[str, str], float] = {}
    for pair, strength in _mapping(document, "bias", faults).items():
        names = tuple(part.strip() for part in str(pair).split("~"))
        if len(names) != 2:
            faults.append(f"bias: '{pair}' is no pair: write factor~of, as voice~intent")
            continue
        first, second = names
        if first in OF and second in FACTORS and (second not in OF or _rank(second) > _rank(first)):
            first, second = second, first  # the one that is drawn later follows the other
        if first not in FACTORS or second not in OF or first == second:
            what = f"bias: '{pair}': a factor ({', '.join(FACTORS)}) follows one of {', '.join(OF)}"
            faults.append(f"{what}{_like(first, FACTORS) if first not in FACTORS else _like(second, OF)}")
            continue
        if not _number(strength) or not 0 <= strength <= 1:
            faults.append(f"bias.{pair}: {strength!r} is no share between 0 and 1")
            continue
        if len(set(plan.levels(first))) < 2:
            faults.append(f"bias.{pair}: {first} has one value in training, so nothing can follow it")
            continue
        if first in [f for f, _ in made]:
            faults.append(f"bias: {first} follows two factors; it can follow one")
        made[first, second] = float(strength)
    return made


def _rank(name: str) -> int:
    return FACTORS.index(name) if name in FACTORS else -1


def _drift(document: Mapping[str, Any], plan: Plan, faults: list[str]) -> dict[str, Values]:
    made: dict[str, Values] = {}
    for name, values in _mapping(document, "drift", faults).items():
        if name not in FACTORS:
            faults.append(f"drift: no factor '{name}'{_like(str(name), FACTORS)}")
            continue
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != plan.experiences:
            faults.append(f"drift.{name}: one value for each of the {plan.experiences} experiences")
            continue
        if name in NAMED:
            unknown = [value for value in values if value not in NAMED[name]]
            faults += [f"drift.{name}: no {name} '{v}'{_like(str(v), NAMED[name])}" for v in unknown]
            made[name] = tuple(values)
        else:
            made[name] = tuple(_range(f"drift.{name}", name, value, faults) for value in values)
    return made


def _imbalance(document: Mapping[str, Any], plan: Plan, faults: list[str]) -> dict[str, float]:
    made = {}
    for name, ratio in _mapping(document, "imbalance", faults).items():
        if name not in (plan.label, *FACTORS):
            faults.append(f"imbalance: '{name}' is neither the label ({plan.label}) nor a factor{_like(name, FACTORS)}")
        elif not _number(ratio) or not 1 <= ratio <= 1000:
            faults.append(f"imbalance.{name}: {ratio!r} is no ratio from 1 to 1000")
        else:
            made[name] = float(ratio)
    return made


def _together(plan: Plan) -> list[str]:
    """What each field allows and all of them do not."""
    faults = [f"{f}: it has a bias and a drift; it can have one" for f, _ in plan.bias if f in plan.drift]
    if plan.target is not None:
        planted = dict.fromkeys((*(factor for factor, _ in plan.bias), *plan.drift))
        moved = [factor for factor in planted if plan.target[factor] != plan.factors[factor]]
        faults += [
            f"target.{factor}: it has a bias or a drift, which would undo the target's own values" for factor in moved
        ]
    if plan.experiences > len(plan.classes) and plan.overlap < 1:
        faults.append(
            f"experiences: {plan.experiences} for {len(plan.classes)} classes: give each a class, or set overlap: 1"
        )
    sides = [plan.factors] if plan.target is None else [plan.factors, plan.target]
    named = {n: [v for side in sides for values in side[n].values() for v in values] for n in ("synthesiser", "accent")}
    for name, values in plan.drift.items():
        named.setdefault(name, []).extend(values)
    faults += [f"factors.synthesiser: {fault}" for fault in speaker.missing(set(named["synthesiser"]))]
    for accent in dict.fromkeys(named["accent"]):
        dumb = [s for s in dict.fromkeys(named["synthesiser"]) if s not in ACCENTS[accent]]
        if dumb:
            both = [a for a, by in ACCENTS.items() if not set(named["synthesiser"]) - set(by)]
            faults.append(f"factors.accent: {dumb[0]} does not speak '{accent}'; all speak {', '.join(both)}")
    return faults
