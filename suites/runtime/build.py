"""From a recipe's words to what they stand for: its data, a method with its model, the loop's settings, the streams, the device."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import catalog, fitness, registry, training
from ..config.errors import Fault
from ..config.recipe import Recipe, load, to_yaml

if TYPE_CHECKING:
    from ...datasets.core.source import DataInfo, Source
    from ...methods.base import Method
    from ...methods.training.settings import TrainingSettings


def prepare(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> Source:
    """The recipe's data, with the columns that its model asks for. Raises Fault (code ``data``) where it cannot be had."""
    module = registry.dataset(recipe.data.name, recipe.family)
    root = Path(recipe.data.root) if recipe.data.root else None
    source: Source = module.load(module.Config(**recipe.data.options), root, progress)
    model = registry.network(recipe.model.name)
    if hasattr(model, "prepare"):
        source = model.prepare(model.Config(**recipe.model.options), source)
    return source


def facts_of(source: Source) -> dict[str, Any]:
    """What an invocation records of its data: source, checksum, rows of each split, and ``random_split``."""
    rows = {name: len(table) for name, table in source.splits.items()}
    return {"source": source.source, "checksum": source.checksum, "rows": rows, "random_split": source.random_split}


@functools.lru_cache(maxsize=2)
def _kept(key: str, text: str) -> Source:
    """``key`` names the data and model sections of the recipe."""
    return prepare(load(text, None, []))


def prepare_once(recipe: Recipe) -> Source:
    """:func:`prepare`, with the data kept between the trials of a process."""
    key = json.dumps([recipe.data.model_dump(), recipe.model.model_dump()], sort_keys=True, default=str)
    return _kept(key, to_yaml(recipe))


def method_of(recipe: Recipe, name: str, info: DataInfo, seed: int) -> Method:
    """A method of the recipe with its model, for data of this ``info``; all weights come from (seed, "init")."""
    import torch

    from ...datasets.core.seeds import derive

    kind = catalog.kind_of(recipe, name)
    fields = {field: value for field, value in recipe.methods[name].items() if field != "use"}
    module = registry.network(recipe.model.name)
    torch.manual_seed(derive(seed, "init"))
    model = module.build(module.Config(**recipe.model.options), info, seed)
    return kind(kind.Config(**fields), model, seed)


def check_methods(recipe: Recipe, methods: Iterable[str], source: Source) -> None:
    """Before anything is trained: the methods find what they need in the model and the data. Raises Fault with all that
    they miss.
    """
    errors = fitness.errors_of(recipe, methods, source.info, source.splits["train"].columns)
    if errors:
        raise Fault.recipe("\n  ".join(errors), "methods", f"suites show {recipe.name}")


def settings_of(recipe: Recipe) -> TrainingSettings:
    """The recipe's ``train`` section as the loop takes it."""
    from ...methods.training.settings import TrainingSettings

    train = recipe.train
    names: tuple[str, ...] = (
        "epochs",
        "epochs_first",
        "batch_size",
        "optimizer",
        "warmup_steps",
        "milestones",
        "gamma",
        "clip",
        "accumulate",
        "precision",
        "compile",
        "path",
        "log_every",
    )
    return TrainingSettings(
        **{name: getattr(train, name) for name in names},
        eval_batch_size=recipe.evaluate.batch_size,
        gradients=recipe.diagnostics.gradients,
        optimizer_arguments=training.arguments_of(train),
        schedule=training.schedule_of(train),
    )


def benchmark_of(recipe: Recipe, source: Source, seed: int, joint: bool) -> Any:
    """The Avalanche scenario of the recipe; with ``joint`` one training experience with the union of all."""
    from ...datasets.core import streams

    data = recipe.data
    hidden = frozenset(data.hidden_from_training)
    try:
        if data.experiences == 1 and data.split != "given":
            scenario = streams.single(source, hidden)
        elif data.split == "given":
            scenario = streams.given(source, data.experiences, hidden)
        else:
            split = streams.class_incremental if data.split == "classes" else streams.range_incremental
            scenario = split(source, data.experiences, data.class_order, seed, hidden=hidden)
    except ValueError as error:
        raise Fault.recipe(str(error), "data.experiences", "suites show " + recipe.name) from error
    return streams.union(scenario) if joint else scenario


def device_of(name: str) -> str:
    """``auto`` becomes cuda where there is a GPU. Raises Fault for cuda without one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise Fault.usage("there is no usable CUDA device", "--device cuda", "--device cpu, or: suites doctor")
    return name
