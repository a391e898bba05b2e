"""A grid over strengths of the data, methods and seeds, as a study that chooses nothing.

Method and seed are choices of the study like the strengths; what its end says is in :mod:`.points`.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..config import catalog, measures, registry
from ..config.documents import suggestion
from ..config.errors import Fault
from ..config.recipe import Recipe
from ..config.sections import Range
from ..runtime.recipes import apply
from . import search
from .search import Objective
from .studies import METHOD, SEED, Study, begin

MOST = 500  # points that are run without being asked for again
OPTION = "--dial"
EXAMPLE = f"{OPTION} bias=0:0.5:1"
PREFIX = "data.options."


def strengths(recipe: Recipe, texts: Sequence[str]) -> dict[str, list[float]]:
    """Path of a field -> its values, of texts ``NAME=VALUE:VALUE...``; NAME is a number among ``data.options``.

    Raises Fault with what is wrong with the first text that is wrong, and with every value that the recipe refuses.
    """
    config: type[BaseModel] = registry.dataset(recipe.data.name, recipe.family).Config
    known = [name for name, field in config.model_fields.items() if _is_number(field.annotation)]
    found: dict[str, list[float]] = {}
    for text in texts:
        given, equals, values = text.partition("=")
        name = given.strip().removeprefix(PREFIX)
        if not equals or not name:
            raise Fault.usage(f"'{text}' is no field with values", OPTION, EXAMPLE)
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else f"{recipe.data.name} has none"
            what = f"no numeric field '{name}' of the data set{suggestion(name, known)} ({there})"
            raise Fault.usage(what, OPTION, f"suites show {recipe.name} --all")
        if f"{PREFIX}{name}" in found:
            raise Fault.usage(f"{name} is given twice", OPTION, "all its values in one option: " + EXAMPLE)
        found[f"{PREFIX}{name}"] = _values(name, values)
    errors = []
    for path, each in found.items():
        for value in each:
            try:
                catalog.resolve(apply(recipe, {path: value}), fair=False)
            except Fault as error:
                errors.append(f"{path}={value:g}: {' '.join(error.what.split()).removeprefix('1 error: ')}")
    if errors:
        raise Fault.usage("; ".join(errors), OPTION, "values that the field takes: suites show NAME --all")
    return found


def _is_number(annotation: Any) -> bool:
    """Whether a field is a number, or a number or null."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        parts = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        return len(parts) == 1 and _is_number(parts[0])
    if typing.get_origin(annotation) is typing.Literal:
        return all(type(value) in (int, float) for value in typing.get_args(annotation))
    return annotation in (int, float)


def _values(name: str, text: str) -> list[float]:
    parts = [part.strip() for part in text.split(":")]
    try:
        values = [float(part) for part in parts]
    except ValueError as error:
        what = f"'{text}' are no numbers with colons between them"
        raise Fault.usage(what, f"{OPTION} {name}", EXAMPLE) from error
    if not all(map(math.isfinite, values)):
        raise Fault.usage(f"'{text}': every value must be finite", f"{OPTION} {name}", EXAMPLE)
    if len(set(values)) < len(values):
        raise Fault.usage(f"'{text}' has a value twice", f"{OPTION} {name}", EXAMPLE)
    if len(values) < 2:
        what = f"'{text}' is one value, and a grid needs two or more of each strength"
        raise Fault.usage(what, f"{OPTION} {name}", f"{EXAMPLE}; or one value for all runs: {PREFIX}{name}={text}")
    return [int(value) for value in values] if all(part.lstrip("+-").isdigit() for part in parts) else values


def create(
    recipe: Recipe,
    texts: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    device: str,
    out: Path,
    tracking_uri: str | None,
    name: str | None = None,
    many: bool = False,
) -> Study:
    """A new study's folder with its plan: every combination of the values in ``texts``, ``methods`` and ``seeds``.

    ``many``: more than :data:`MOST` points are meant. Seeds are the outermost, so that what was stopped has whole
    seeds; methods the innermost, since they share their data.
    """
    chosen = catalog.chosen_methods(recipe, methods)
    values = strengths(recipe, texts)
    counts = {"strengths": math.prod(map(len, values.values())), "methods": len(chosen), "seeds": len(seeds)}
    points = math.prod(counts.values())
    if points > MOST and not many:
        what = f"{points} runs: {', '.join(f'{count} {word}' for word, count in counts.items())} (combinations)"
        raise Fault.usage(what, OPTION, f"fewer values, methods or seeds; or --yes where more than {MOST} are meant")
    known = measures.metrics(recipe.problem, [registry.kind_of(recipe, method) for method in chosen])
    main = known[f"{known.main.name}/last"]
    direction = "maximize" if main.higher_is_better else "minimize"
    choices: Mapping[str, Sequence[Any]] = {SEED: list(seeds), **values, METHOD: chosen}
    ranges = {path: Range(choices=tuple(each)) for path, each in choices.items()}
    facts = {
        "method": chosen[0],
        "grid": True,
        "methods": chosen,
        "seeds": list(seeds),
        "params": {path: r.model_dump(exclude_none=True) for path, r in ranges.items()},
        "objectives": [vars(Objective(main.name, direction))],  # recorded of each trial; nothing is selected by it
        "trials": len(search.grid(ranges)),
        "sampler": "grid",
        "pruner": "none",
        "seed": min(seeds),
    }
    return begin(recipe, facts, name=name, kind="grid", device=device, out=out, tracking_uri=tracking_uri)
