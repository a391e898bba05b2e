"""What a run would do, for ``suites run --dry-run``: sizes, steps, and an estimate of time, memory and disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..config import catalog
from ..config.recipe import Recipe
from . import build
from . import warm_start as weights

if TYPE_CHECKING:
    from ...datasets.core.source import Source


def plan(recipe: Recipe, *, methods: Sequence[str], seeds: Sequence[int], device: str) -> dict[str, Any]:
    """What a run would do: resolved recipe, what the columns of the data take, model sizes, steps, and an estimate of
    time (s), memory and disk (MiB).

    Time is estimated from one timed step.
    """

    from ...methods.training.trainer import trainer_of

    device = build.device_of(device)
    catalog.resolve(recipe)
    source = build.prepare(recipe)
    build.check_methods(recipe, methods, source)
    weights.check(recipe, methods, seeds, source)
    build.use_threads(recipe)
    rows: list[dict[str, Any]] = []
    for name in methods:
        method = build.method_of(recipe, name, source.info, seeds[0])
        scenario = build.benchmark_of(recipe, source, seeds[0], method.uses_union)
        trainer = trainer_of(method, settings=build.settings_of(recipe), seed=seeds[0], device=device)
        stream = list(scenario.streams["train"])
        steps = sum(trainer.planned_steps(experience) for experience in stream)
        seconds = trainer.seconds_a_step(stream[0]) if steps else 0.0  # nothing to time in a method that fits at once
        parameters = sum(p.numel() for p in method.parameters())
        trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
        row: dict[str, Any] = {
            "method": name,
            "parameters": parameters,
            "trainable": trained,
            "steps": steps * len(seeds),
        }
        row["seconds_estimated"] = round(seconds * steps * len(seeds), 1)
        row["memory_mib_estimated"] = round((4 * parameters * 2 + 12 * trained) / 2**20, 1)
        row["disk_mib_estimated"] = round(2 * (8 * parameters + 8 * trained) / 2**20 * len(seeds), 1)
        rows.append(row)
    return {
        "suite": recipe.name,
        "profile": recipe.profile,
        "device": device,
        "data": data_of(recipe, source),
        "recipe": recipe.model_dump(by_alias=True),
        "methods": rows,
    }


def data_of(recipe: Recipe, source: Source) -> dict[str, Any]:
    """Source and rows of the data, where its columns lie, and what they take in memory and in mapped files (MiB)."""
    from ...datasets.core import store

    size = {f"{kind}_mib": round(size / 2**20, 1) for kind, size in store.sizes(source).items()}
    rows = {split: len(table) for split, table in source.splits.items()}
    return {"source": source.source, "rows": rows, "store": recipe.data.store, **size}
