"""Tune here, judge there: a method's fields from the best trial of a study on another data set of the same family.

The protocol is that of arXiv 2403.09066: settings that are tuned on the data they are judged on flatter a method.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import catalog, protocol, registry, run_files
from ..config.errors import Fault
from ..config.evidence import Tuned
from ..config.recipe import Recipe
from ..runtime import recipes
from .studies import Study, find


def applied(recipe: Recipe, target: str | Path, out: Path, methods: Sequence[str]) -> tuple[Recipe, list[str]]:
    """The recipe with the fields that a study chose, and the methods to run: the study's, where none is named.

    Raises Fault where there is no such study, it has no single best trial, it is of another family or of the same data,
    or other methods would be changed with its fields.
    """
    study = find(str(target), out.resolve())
    if study is None:
        raise Fault.usage(f"'{target}' is no study", str(out), "name its folder, or what its --study NAME was")
    params, method = _best(study), str(study.plan["method"])
    if study.recipe.family != recipe.family:
        what = f"the study is of the family {study.recipe.family}, {recipe.name} is of {recipe.family}"
        raise Fault.usage(what, str(study.folder), "tune on a suite of the same family")
    if _data(study.recipe) == _data(recipe):
        what = "the study was tuned on the data set that would be judged on"
        next_step = f"name another data set (--data-root, data.options), or run {study.folder.name}/best.yaml as it is"
        raise Fault.usage(what, "--best-of", next_step)
    chosen = catalog.chosen_methods(recipe, methods or [method])
    shared = [path for path in params if not path.startswith(f"methods.{method}.")]
    others = [name for name in chosen if name != method]
    if others and shared:
        what = f"{', '.join(shared)} were tuned for {method} and would change {', '.join(others)} too"
        raise Fault.usage(what, "--best-of", f"run {method} alone, and the others in a run of their own")
    given = [f"{path}={value}" for path, value in params.items()]
    changed = recipes.apply(recipe, params)
    catalog.resolve(changed, fair=False)
    changed = protocol.by_hand(recipe, changed, registry.kinds(changed), given)
    tuned = Tuned(study=study.plan["study"], method=method, data=data_words(study.recipe), fields=tuple(params))
    changed = changed.model_copy(update={"tuned": tuned})
    catalog.resolve(changed)
    return changed, chosen


def _best(study: Study) -> dict[str, Any]:
    path = study.folder / "result.json"
    document = run_files.read(path, run_files.StudyResult) if path.exists() else {}
    best = document.get("best")
    if not isinstance(best, dict) or not isinstance(best.get("params"), dict):
        what = "the study has no single best trial"
        raise Fault.usage(what, str(study.folder), f"finish it: suites sweep --resume {study.folder.name}")
    return dict(best["params"])


def _data(recipe: Recipe) -> dict[str, Any]:
    """The data set: not the seed that draws its splits."""
    options = {name: value for name, value in recipe.data.options.items() if name != "seed"}
    return {"name": recipe.data.name, "root": recipe.data.root, "options": options}


def data_words(recipe: Recipe) -> str:
    """The data set of a study in words: the suite, and the options that are texts (a table's file)."""
    named = [f"{name}={value}" for name, value in recipe.data.options.items() if isinstance(value, str)]
    return " ".join([recipe.name, *named])
