"""Transfer: the model of a new run starts from the weights of a finished one (recipe field ``model.weights``).

What is taken is the model alone, and once: a run that is resumed has the weights in its checkpoint. Heads, label
statistics and everything else that belongs to the method stay new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import registry, run_files
from ..config.errors import Fault
from ..config.recipe import Recipe
from . import folders, recipes
from .checkpoints import Checkpoints

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...datasets.core.source import Source

SHOWN = 10  # names in a message
PREFIX = "model."  # of the model's weights among a method's


def located(recipe: Recipe, out: Path) -> Recipe:
    """The recipe with the full path of ``model.weights`` (a run, or an invocation), which workers find from anywhere.

    Raises Fault where there is no such run.
    """
    if recipe.model.weights is None:
        return recipe
    invocation, names = folders.find(recipe.model.weights, out.resolve())
    folder = invocation / names[0] if len(names) == 1 else invocation
    return recipes.apply(recipe, {"model.weights": str(folder)})


def source_of(recipe: Recipe, method: str, seed: int) -> Path:
    """Folder of the run whose weights (method, seed) starts from: the one named; of an invocation that of the same
    seed, and of the same method where several have it. Raises Fault where that is not one finished run."""
    named = str(recipe.model.weights)
    invocation, names = folders.find(named, Path.cwd())
    runs = folders.plan_of(invocation)["runs"]
    fit = [entry for entry in runs if entry["folder"] in names]
    if len(fit) > 1:
        fit = [entry for entry in fit if entry["seed"] == seed]
        fit = [entry for entry in fit if entry["method"] == method] if len(fit) > 1 else fit
    if len(fit) != 1:
        what = f"'{named}' holds {len(names)} runs ({', '.join(names)}), none of method {method} and seed {seed}"
        raise Fault.usage(what, "model.weights", f"name one: model.weights={invocation / names[0]}")
    folder = invocation / str(fit[0]["folder"])
    if folders.status(folder) != "finished":
        what = f"the run is {folders.status(folder)}: weights are taken from finished runs"
        raise Fault.usage(what, str(folder), f"suites resume {folder}")
    return folder


def facts(recipe: Recipe, method: str, seed: int) -> dict[str, Any]:
    """``{"weights": {run, folder, suite, method, seed, sha256}}`` for ``run.json``; nothing where the recipe names
    no weights."""
    if recipe.model.weights is None:
        return {}
    return {"weights": _read(source_of(recipe, method, seed))[1]}


def check(recipe: Recipe, methods: Sequence[str], seeds: Sequence[int], source: Source) -> None:
    """Before anything is written: every run's weights are there and fit the model. Raises Fault with the names that
    do not."""
    import torch

    if recipe.model.weights is None:
        return
    module = registry.network(recipe.model.name)
    with torch.random.fork_rng(devices=[]):
        model = module.build(module.Config(**recipe.model.options), source.info, seeds[0])
    for folder in {source_of(recipe, method, seed) for seed in seeds for method in methods}:
        fitting(model, _read(folder)[0], folder)


def take(run: Path, model: nn.Module) -> None:
    """Load into ``model`` what the run's ``run.json`` says it starts from; nothing where it says nothing.

    Raises Fault where those weights are not what they were, or do not fit.
    """
    origin = folders.state_of(run).get("weights")
    if origin is None:
        return
    folder = Path(origin["folder"])
    weights, now = _read(folder)
    if now["sha256"] != origin["sha256"]:
        what = "the weights that this run starts from have changed since it was begun"
        raise Fault.data(what, str(folder), "start anew with: suites run NAME")
    model.load_state_dict({**model.state_dict(), **fitting(model, weights, folder)})


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a run's model by their names in it, and what identifies them."""
    warnings: list[str] = []
    newest = Checkpoints(folder / "checkpoint").newest(warnings.append)
    if newest is None:
        what = "there is no whole checkpoint" + "".join(f"; {warning}" for warning in warnings)
        raise Fault.data(what, str(folder), "start anew with: suites run NAME")
    state, digest = newest
    run = run_files.read(folder / "run.json", run_files.Trained)
    weights = {
        name.removeprefix(PREFIX): value
        for name, value in state["strategy"]["method"].items()
        if name.startswith(PREFIX)
    }
    origin = {"run": run["uid"], "folder": str(folder), "sha256": digest}
    return weights, origin | {name: run[name] for name in ("suite", "method", "seed")}


def fitting(model: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """What ``model`` takes of ``weights``: all, but for the parts that it names ``replaceable``; such a part is
    taken whole or stays new. Raises Fault with the names that do not fit."""
    own = model.state_dict()
    wrong = {}
    for name in {**own, **weights}:
        if name not in weights:
            wrong[name] = "not in the run"
        elif name not in own:
            wrong[name] = "not in this model"
        elif _shape(own[name]) != _shape(weights[name]):
            wrong[name] = f"{_shape(weights[name])} in the run, {_shape(own[name])} here"
    parts: tuple[str, ...] = tuple(getattr(model, "replaceable", ()))
    new = tuple(part for part in parts if any(name.startswith(part) for name in wrong))
    errors = [f"{name}: {what}" for name, what in wrong.items() if not name.startswith(new)]
    if errors:
        more = [f"and {len(errors) - SHOWN} more"] if len(errors) > SHOWN else []
        what = "\n  ".join([f"{len(errors)} of the weights do not fit this model:", *errors[:SHOWN], *more])
        raise Fault.recipe(what, str(folder), "give both runs the same model.options and data of the same form")
    return {name: value for name, value in weights.items() if not name.startswith(new)}


def _shape(value: Any) -> list[int] | None:
    """A tensor's shape; None of other state, which its own module checks (a reference to a frozen network)."""
    return list(value.shape) if hasattr(value, "shape") else None
