"""Recipes as the disk holds them: read back from their text, and with single values changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..config.recipe import Recipe, load, to_yaml


def parse(text: str) -> Recipe:
    """The resolved recipe that a plan or a run's folder holds as YAML."""
    return load(text, None, [])


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values by path; the order of the fields is the recipe's."""
    return load(to_yaml(recipe), None, [f"{path}={json.dumps(value)}" for path, value in values.items()], recipe.name)
