"""Recipes as the disk holds them: read back from their text, and with single values changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import scratch
from ..config.documents import read_yaml
from ..config.errors import Fault
from ..config.migrate import migrated
from ..config.recipe import Recipe, build, load, to_document, to_yaml
from ..tracking.files import write_atomic

CODE = "code"  # folder of a run with copies of the files of the user's own that its recipe names


def parse(text: str) -> Recipe:
    """The resolved recipe that a plan holds as YAML."""
    return load(text, None, [])


def of_run(folder: Path) -> Recipe:
    """The resolved recipe of a run's folder, whose code is that of the folder."""
    path = folder / "recipe.yaml"
    document = migrated(read_yaml(path.read_text(encoding="utf-8"), str(path)))
    scratch.pin_document(document, folder, str(path))
    return build(document, None, [], str(path))


def kept(folder: Path, recipe: Recipe, text: str) -> str:
    """The recipe for a run's folder: ``text``, or, where it names files of the user's own, one that names the copies
    which are made there. Raises Fault where a file is not what it was.
    """
    files = {use: given for use in _used(recipe) if (given := scratch.reference(use)) is not None}
    if not files:
        return text
    (folder / CODE).mkdir(exist_ok=True)
    copies: dict[str, str] = {}
    names: dict[str, str] = {}  # of a copy -> hash of what it holds
    for use, given in files.items():
        source = scratch.source_of(use)
        name = Path(given.file).name
        if names.setdefault(name, given.sha256) != given.sha256:
            name = f"{Path(given.file).stem}_{given.sha256[:8]}.py"
        write_atomic(folder / CODE / name, source)
        copies[use] = str(scratch.Reference(f"{CODE}/{name}", given.name, ""))
    methods = {
        name: {**entry, "use": copies[entry["use"]]} if entry.get("use") in copies else entry
        for name, entry in recipe.methods.items()
    }
    data = recipe.data.model_copy(update={"name": copies.get(recipe.data.name, recipe.data.name)})
    return to_yaml(recipe.model_copy(update={"methods": methods, "data": data}))


def _used(recipe: Recipe) -> list[str]:
    """What the methods and the data of a recipe name."""
    return [*(str(entry.get("use", name)) for name, entry in recipe.methods.items()), recipe.data.name]


def code_of(recipe: Recipe, method: str) -> dict[str, Any]:
    """For ``run.json``: path and sha256 of the files of the user's own that the run uses."""
    used = {"method": recipe.methods[method].get("use"), "data": recipe.data.name}
    files = {what: given for what, use in used.items() if (given := scratch.reference(use)) is not None}
    code = {what: {"path": given.file, "name": given.name, "sha256": given.sha256} for what, given in files.items()}
    return {"code": code} if code else {}


def check_code(recipe: Recipe) -> None:
    """Raise Fault where a file of the user's own is not what it was when the recipe was read."""
    for use in _used(recipe):
        if scratch.reference(use) is not None:
            try:
                scratch.source_of(use)
            except Fault as fault:
                what = f"{fault.what}; what is left was started with its old text"
                raise Fault.recipe(what, fault.where, fault.next) from fault


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values by path; the order of the fields is the recipe's."""
    changes = [f"{path}={json.dumps(value)}" for path, value in values.items()]
    return build(to_document(recipe), None, changes, recipe.name)
