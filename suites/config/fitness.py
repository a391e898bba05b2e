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
    return errors
