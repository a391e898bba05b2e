"""From a recipe's words to what they stand for: its data, a method with its model, the loop's settings, the streams,
the device."""

from __future__ import annotations

import difflib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...methods.training import imports
from ..config import fitness, registry, training
from ..config.errors import Fault
from ..config.recipe import Recipe

if TYPE_CHECKING:
    from ...analysis.problems.evaluator import Evaluator
    from ...datasets.core.source import DataInfo, Source
    from ...datasets.core.table import Batch, Table
    from ...datasets.core.transforms import Transform
    from ...methods.base import Method
    from ...methods.training.settings import TrainingSettings
    from ..config.sections import DataSection, SetDataSection, TransformSection

THREADS_A_CORE = 4


def use_threads(recipe: Recipe) -> None:
    """torch's threads as the recipe says. Raises Fault for more than four a core: they would wait for each other
    without end.
    """
    import torch

    asked, cores = recipe.train.threads, os.cpu_count() or 1
    if asked > THREADS_A_CORE * cores:
        what = f"train.threads={asked} on a machine of {cores} cores: at most {THREADS_A_CORE * cores}"
        raise Fault.recipe(what, "train.threads", "set train.threads=0 (one a core)")
    torch.set_num_threads(asked or cores)


def prepare(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> Source:
    """The recipe's data as its transforms make them, with its evaluation sets and the columns that its model asks for.

    Raises Fault (code ``data``) where it cannot be had, or has no room where ``data.store`` puts it."""
    from ...datasets.core import cache, limits, store

    with store.using(recipe.data.store), limits.using(recipe.data.max_gib):
        try:
            source = _prepared(recipe, progress)
        except FileNotFoundError as error:  # suites data clean in another process, since it was prepared: once more
            if not Path(error.filename or "").is_relative_to(cache.root()):
                raise
            source = _prepared(recipe, progress)
        _warn_of_hidden(recipe, source)
        return store.mapped_source(source) if recipe.data.store == "mapped" else source


def _warn_of_hidden(recipe: Recipe, source: Source) -> None:
    """A column that is to be hidden, is not there, and is spelt almost as one that methods see. (Recipes also hide
    columns that only some of their data have.)"""
    hidden = recipe.data.hidden_from_training
    seen = set(source.splits["train"].columns) - set(hidden)
    for name in hidden:
        near = difflib.get_close_matches(name, seen, n=1, cutoff=0.8)
        if near and name not in source.splits["train"].columns:
            what = f"data.hidden_from_training: there is no column '{name}', and methods see '{near[0]}'"
            warnings.warn(what, stacklevel=2)


def _prepared(recipe: Recipe, progress: Callable[[int, int], None] | None) -> Source:
    from ...datasets.core import transforms

    source = _loaded(recipe.data, recipe.family, progress)
    for section in recipe.data.transforms:
        source = transforms.transformed(source, _transform(section), section.splits)
    for name, rows in recipe.evaluate.sets.items():
        other = _loaded(rows.data, recipe.family, progress) if rows.data is not None else None
        source = transforms.with_set(source, name, rows.split, map(_transform, rows.transforms), other)
    model = registry.network(recipe.model.name)
    if hasattr(model, "prepare"):
        source = model.prepare(model.Config(**recipe.model.options), source)
    return source


def _loaded(data: DataSection | SetDataSection, family: str, progress: Callable[[int, int], None] | None) -> Source:
    module = registry.dataset(data.name, family)
    source: Source = module.load(module.Config(**data.options), Path(data.root) if data.root else None, progress)
    return source


def _transform(section: TransformSection) -> Transform:
    from ...datasets.core.transforms import Transform

    module = registry.transform(section.name)
    config = module.Config(**section.options)
    content = module.content(config) if hasattr(module, "content") else ""
    return Transform(section.name, module.transform, config, section.seed, getattr(module, "VERSION", 1), content)


def facts_of(source: Source) -> dict[str, Any]:
    """What an invocation records of its data: source, checksum, rows of each split, and ``random_split``; the checksums
    of evaluation ``sets``, and rows as ``drawn``, where transforms have changed them.
    """
    rows = {name: len(table) for name, table in source.splits.items()}
    facts = {"source": source.source, "checksum": source.checksum, "rows": rows, "random_split": source.random_split}
    more = {"sets": dict(source.sets), "drawn": dict(source.drawn)}
    return facts | {name: value for name, value in more.items() if value}


_KEPT: dict[str, Source] = {}  # the data last used by this process, by the sections of the recipe that make it
_KEEP = 2


def prepare_once(recipe: Recipe) -> Source:
    """:func:`prepare`, with the data kept between the trials of a process."""
    key = json.dumps(
        [s.model_dump() for s in (recipe.data, recipe.model, recipe.evaluate)], sort_keys=True, default=str
    )
    source = _KEPT.pop(key, None) or prepare(recipe)
    _KEPT[key] = source
    while len(_KEPT) > _KEEP:
        _KEPT.pop(next(iter(_KEPT)))
    return source


def forget() -> None:
    """Drop the data that :func:`prepare_once` keeps."""
    _KEPT.clear()


def check(recipe: Recipe) -> dict[str, Any]:
    """What ``suites data check`` prints: counts, splits and ``faults`` of the recipe's data set; of one that has no
    check of its own, what its columns hold. Raises DataError where it stops at the first fault.
    """
    from ...datasets.core import limits, store
    from ...datasets.core.source import described

    module = registry.dataset(recipe.data.name, recipe.family)
    with store.using(recipe.data.store), limits.using(recipe.data.max_gib):
        if not hasattr(module, "check"):
            return described(_loaded(recipe.data, recipe.family, None))
        root = Path(recipe.data.root) if recipe.data.root else None
        document: dict[str, Any] = module.check(module.Config(**recipe.data.options), root)
    return document


def batch_of(table: Table, rows: Sequence[int]) -> Batch:
    """The batch of rows of a table, as an evaluation has it."""
    import torch

    part = torch.tensor(rows, dtype=torch.int64)
    return {**table.gather(part), "is_memory": torch.zeros(len(part), dtype=torch.bool)}


class Streams:
    """The data of an invocation and its streams, which methods of one seed share."""

    MOST = 4  # scenarios that are kept

    def __init__(self, recipe: Recipe, source: Source) -> None:
        self.recipe, self.source = recipe, source
        self._made: dict[tuple[int, bool], Any] = {}

    def of(self, seed: int, joint: bool) -> Any:
        """The scenario of ``seed`` (:func:`benchmark_of`). Raises Fault where the data cannot be split like that."""
        key = (seed, joint)
        if key not in self._made:
            if len(self._made) >= self.MOST:
                self._made.pop(next(iter(self._made)))
            self._made[key] = benchmark_of(self.recipe, self.source, seed, joint)
        return self._made[key]


def method_of(recipe: Recipe, name: str, info: DataInfo, seed: int) -> Method:
    """A method of the recipe with its model, for data of this ``info``; all weights come from (seed, "init")."""
    import torch

    from ...datasets.core import limits
    from ...datasets.core.seeds import derive

    kind = registry.kind_of(recipe, name)
    fields = {field: value for field, value in recipe.methods[name].items() if field != "use"}
    module = registry.network(recipe.model.name)
    torch.manual_seed(derive(seed, "init"))
    with limits.using(recipe.data.max_gib), bounded_weights():
        model = module.build(module.Config(**recipe.model.options), info, seed)
    return kind(kind.Config(**fields), model, seed)


def problem_of(recipe: Recipe, data: Any) -> Evaluator:
    """The recipe's problem on the data, with the options of ``evaluate.options`` where it has any."""
    from ...analysis.problems.evaluator import NoOptions

    kind: Any = registry.problem(recipe.problem)  # one without options is made with the data alone
    made: Evaluator = kind(data) if kind.Config is NoOptions else kind(data, kind.Config(**recipe.evaluate.options))
    return made


@contextmanager
def bounded_weights() -> Iterator[None]:
    """Inside, the weights of new modules are counted, before they are filled. Raises Fault where they take more memory
    than ``data.max_gib`` allows, or torch cannot have it."""
    from torch.nn.modules.module import register_module_parameter_registration_hook

    from ...datasets.core import limits

    taken = 0

    def count(module: Any, name: str, values: Any) -> None:
        nonlocal taken
        if values is not None and values.device.type != "meta":
            taken += values.numel() * values.itemsize
            if problem := limits.excess(taken):
                raise _too_large(f"the weights of the model take {problem}")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "out of memory" not in str(error).lower():
            raise
        raise _too_large(f"the model does not fit into memory: {error}") from error
    finally:
        hook.remove()


def _too_large(what: str) -> Fault:
    return Fault.recipe(what, "model.options", "choose a smaller model, or raise data.max_gib")


def check_methods(recipe: Recipe, methods: Iterable[str], source: Source) -> None:
    """Before anything is trained: the methods find what they need in the model and the data. Raises Fault with all that
    they miss.
    """
    methods = list(methods)
    errors = fitness.errors_of(recipe, methods, source.info, source.splits["train"].columns)
    errors += fitness.settings_errors(recipe, methods)
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
        "workers",
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
    imports.import_streams()
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
        raise Fault.recipe(str(error), "data.experiences", f"suites show {recipe.name}") from error
    return streams.union(scenario) if joint else scenario


def device_of(name: str) -> str:
    """``auto`` becomes cuda where there is a GPU. Raises Fault for cuda without one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise Fault.usage("there is no usable CUDA device", "--device cuda", "--device cpu, or: suites doctor")
    return name
