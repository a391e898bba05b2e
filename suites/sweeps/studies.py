"""What a study is: its plan, its folder, and its trials in Optuna's storage.

A study's folder: ``study.json`` (the plan), ``optuna.journal`` (Optuna's storage, unless another is named),
``trials/<number>/`` (an invocation each), ``result.json``, ``best.yaml``, ``plots/``. The driver holds the folder's
lock.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import registry, run_files
from ..config.documents import suggestion
from ..config.errors import Fault
from ..config.names import plain
from ..config.private import complete, remember, written
from ..config.recipe import Recipe, to_yaml
from ..config.sections import Range
from ..runtime import build, folders, recipes
from ..tracking.store import resolve_uri, to_store
from . import search
from .search import Objective

METHOD, SEED = "method", "seed"  # of a grid: choices of the study that are no fields of the recipe


@dataclass
class Study:
    """A study's folder and its plan."""

    folder: Path
    plan: dict[str, Any]

    @cached_property
    def recipe(self) -> Recipe:
        """The untuned recipe."""
        return recipes.parse(self.plan["recipe"])

    @property
    def objectives(self) -> list[Objective]:
        return [Objective(**o) for o in self.plan["objectives"]]

    @property
    def ranges(self) -> dict[str, Range]:
        """What is tried of every path, in the order of the study's beginning: a grid counts its points by it, and JSON
        keeps no order."""
        known = search.parse_ranges(self.plan["params"])
        return {path: known[path] for path in self.plan.get("order") or known}

    @property
    def is_grid(self) -> bool:
        """Whether it runs all combinations of strengths, methods and seeds, and selects nothing (:mod:`.grid`)."""
        return bool(self.plan.get("grid"))

    @property
    def methods(self) -> list[str]:
        return list(self.plan["methods"]) if self.is_grid else [self.plan["method"]]

    @property
    def seeds(self) -> list[int]:
        return list(self.plan["seeds"]) if self.is_grid else [self.plan["seed"]]

    def part(self, values: Mapping[str, Any]) -> tuple[str, int]:
        """Method and seed of the trial with these values."""
        return (values[METHOD], values[SEED]) if self.is_grid else (self.plan["method"], self.plan["seed"])

    def fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a trial's values that are fields of the recipe."""
        return {path: value for path, value in values.items() if not self.is_grid or path not in (METHOD, SEED)}

    def trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def run_folder(self, number: int, values: Mapping[str, Any]) -> Path:
        """The folder of the one run of the trial with these values."""
        method, seed = self.part(values)
        return self.trial_folder(number) / f"{method}-s{seed}"

    def save(self) -> None:
        """Write the plan."""
        folders.write_json(self.folder / "study.json", self.plan)


@dataclass(frozen=True)
class Search:
    """What a person asks of a new study; None: as the recipe says."""

    methods: Sequence[str] = ()
    trials: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    objectives: Sequence[str] = ()
    seed: int = 0
    name: str | None = None
    storage: str | None = None


def create(recipe: Recipe, asked: Search, *, device: str, out: Path, tracking_uri: str | None) -> Study:
    """A new study's folder with its plan, for a resolved recipe. Raises Fault with what is wrong with the search."""
    method = search.method_of(recipe, asked.methods)
    ranges = search.space(recipe, method)
    objectives = search.objectives(recipe, asked.objectives, method)
    sampler, pruner = asked.sampler or recipe.sweep.sampler, asked.pruner or recipe.sweep.pruner
    _check(recipe, objectives, sampler, pruner)
    points = search.grid(ranges) if sampler == "grid" else None
    trials = asked.trials or (len(points) if points else recipe.sweep.trials)
    if points is not None:
        trials = min(trials, len(points))
    facts = {
        "method": method,
        "params": {path: r.model_dump(exclude_none=True) for path, r in ranges.items()},
        "objectives": [vars(o) for o in objectives],
        "trials": trials,
        "sampler": sampler,
        "pruner": pruner,
        "seed": asked.seed,
    }
    where: dict[str, Any] = {"device": device, "out": out, "tracking_uri": tracking_uri, "storage": asked.storage}
    return begin(recipe, facts, name=asked.name, **where)


def begin(
    recipe: Recipe,
    facts: Mapping[str, Any],
    *,
    name: str | None,
    device: str,
    out: Path,
    tracking_uri: str | None,
    storage: str | None = None,
    kind: str = "",
) -> Study:
    """The folder of a new study whose plan holds ``facts``; without a name it gets one with ``kind`` and the time."""
    if recipe.train.threads == 0:
        recipe = recipes.apply(recipe, {"train.threads": recipe.sweep.threads})
    out = out.resolve()
    words = [recipe.name, *([kind] if kind else []), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())]
    name = name or "-".join([*words, secrets.token_hex(2)])
    if not plain(name):
        raise Fault.usage(f"{name!a} is no name for a study (letters, digits, - _ .)", "--study", "--study tuned")
    folder = out / f"study-{name}"
    if (folder / "study.json").exists():
        next_step = (
            f"suites resume {name}, or another name"
            if kind
            else (f"suites sweep ... --study {name} --resume, or another name")
        )
        raise Fault.usage("there is a study of this name", str(folder), next_step)
    addresses = {"storage": to_file(storage), "tracking_uri": to_store(resolve_uri(out, tracking_uri))}
    folders.make(folder / "trials", "the study's folder")
    plan = {
        "schema": 1,
        "study": name,
        "uid": secrets.token_hex(8),
        "suite": recipe.name,
        "recipe": to_yaml(recipe),
        **facts,
        "order": list(facts["params"]),
        "device": build.device_of(device),
        "git": folders.git_state(),
        **addresses,
    }
    study = Study(folder, plan)
    study.save()
    return study


def _check(recipe: Recipe, objectives: Sequence[Objective], sampler: str, pruner: str) -> None:
    """Raise Fault where sampler, pruner and objectives do not go together, or are unknown."""
    for name, known, option in (
        (sampler, ("tpe", "random", "grid", "cmaes", "nsga2"), "--sampler"),
        (pruner, ("none", "median", "hyperband"), "--pruner"),
    ):
        if name not in known:
            what = f"unknown {option[2:]} '{name}'{suggestion(name, known)}"
            raise Fault.usage(what, option, f"{option} {known[0]}")
    if pruner != "none" and len(objectives) > 1:
        next_step = "leave --pruner out, or name one --objective"
        raise Fault.usage("Optuna cannot prune several objectives", "--pruner", next_step)
    if pruner != "none" and not objectives[0].name.startswith("valid/"):
        what = "pruning needs an objective that is measured after every experience"
        main = registry.problem(recipe.problem).main
        raise Fault.usage(what, "--pruner", f"--objective valid/{main}/average")
    if recipe.train.selection == "oracle":
        what = "weights chosen on test rows would leak into the trials' objective"
        raise Fault.usage(what, "train.selection", "train.selection=validation, or last")
    search.sampler(sampler, 0)  # its package is installed


def to_file(storage: str | None) -> str | None:
    """The storage's URL without its login, which is kept for this process alone. Raises Fault where it is no URL."""
    try:
        return remember(storage) if storage else None
    except ValueError as error:
        raise Fault.usage(str(error), "--storage", "--storage postgresql://USER:PASSWORD@HOST/DATABASE") from error


def find(target: str, out: Path, storage: str | None = None) -> Study | None:
    """The study at a path, or of a name under OUT; None where there is none.

    ``storage``: the address of its storage with the login, which no file holds. Raises Fault where the study has
        another one.
    """
    for path in (Path(target), out / target, out / f"study-{target}"):
        if (path / "study.json").exists():
            study = read(path.resolve())
            if storage is not None and to_file(storage) != written(study.plan["storage"]):
                kept = study.plan["storage"] or "a file in its folder"
                raise Fault.usage(f"the study's storage is {kept}", "--storage", "leave --storage out")
            return study
    return None


def read(folder: Path) -> Study:
    """The study in ``folder``. Raises Fault where its plan is damaged or names a folder outside."""
    next_step = "put the file back as it was, or start another study"
    return Study(folder, run_files.read(folder / "study.json", run_files.StudyPlan, next_step))


class _OwnLock:
    """Optuna's journal file is locked by our lock on the folder: nobody waits for a dead process's."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None: ...


def open_storage(study: Study) -> Any:
    """Optuna's study; a torn last line of its journal is cut first."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage: Any = complete(study.plan["storage"], mlflow=False) if study.plan["storage"] else None
    if storage is None:
        path = study.folder / "optuna.journal"
        if path.exists():
            data = path.read_bytes()
            if not data.endswith(b"\n") and data:
                with path.open("r+b") as file:
                    file.truncate(data.rfind(b"\n") + 1)
        lock: Any = _OwnLock()
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    try:
        optuna_study = optuna.create_study(
            storage=storage,
            study_name=study.plan["study"],
            directions=[o.direction for o in study.objectives],
            load_if_exists=True,
            pruner=search.pruner(study.plan["pruner"]),
            sampler=search.sampler("random", 0),
        )
        owner = optuna_study.user_attrs.get("holdfast.uid")
        if owner is None and not optuna_study.get_trials(deepcopy=False):
            optuna_study.set_user_attr("holdfast.uid", study.plan["uid"])
            owner = study.plan["uid"]
    except Exception as error:
        what = f"the storage does not answer: {str(error).splitlines()[0]}"
        next_step = "--storage URL of a database that runs; its login again in HOLDFAST_STORAGE"
        raise Fault.usage(what, str(storage), next_step) from error
    if owner != study.plan["uid"]:
        what = f"the storage holds another study named '{study.plan['study']}'"
        raise Fault.usage(what, str(storage), "--study another name")
    return optuna_study
