"""Whether the methods of a recipe fit its model and data, by what they declare (``Method.requires``); nothing is
built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from . import registry
from .recipe import Recipe

if TYPE_CHECKING:
    from ...datasets.core.source import DataInfo


def errors_of(
    recipe: Recipe,
    methods: Iterable[str] | None = None,
    info: DataInfo | None = None,
    columns: Collection[str] | None = None,
) -> list[str]:
    """What the methods named (None: all of the recipe) miss, one sentence each.

    The model is always checked, the data where its ``info`` and its training ``columns`` are known.
    """
    from ...methods.networks.protocols import fits

    network, hidden = registry.network(recipe.model.name), recipe.data.hidden_from_training
    errors = []
    for name in recipe.methods if methods is None else methods:
        kind = registry.method(str(recipe.methods[name].get("use", name)), recipe.family)
        errors += fits(name, kind.requires, network, info, columns, hidden)
        if kind.trainer == "avalanche":
            errors += _of_avalanche(recipe, name)
    return errors


def _of_avalanche(recipe: Recipe, name: str) -> list[str]:
    """What is wrong with the strategy of Avalanche that a method names; Avalanche is not imported."""
    from ...methods.training.avalanche_names import errors_of as strategy_errors

    given = {field: value for field, value in recipe.methods[name].items() if field != "use"}
    config = registry.kind_of(recipe, name).Config(**given).model_dump()
    return [f"methods.{name}.{line}" for line in strategy_errors(config["strategy"], config["arguments"])]


def settings_errors(recipe: Recipe, methods: Iterable[str]) -> list[str]:
    """Fields of ``train`` that the methods to be run cannot follow, one sentence each."""
    from ...methods.training.avalanche_names import unfit_settings

    if not any(registry.kind_of(recipe, name).trainer == "avalanche" for name in methods):
        return []
    errors = unfit_settings(recipe.train.model_dump() | {"gradients": recipe.diagnostics.gradients})
    augment = recipe.model.options.get("augment", "none")
    if augment != "none":
        errors.append(
            f"model.options.augment: a strategy of Avalanche trains on images as they are, not with {augment}"
        )
    return errors
