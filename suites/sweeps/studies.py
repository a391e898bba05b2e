"""What a study is: its plan, its folder, and its trials in Optuna's storage.

A study's folder: ``study.json`` (the plan), ``optuna.journal`` (Optuna's storage, unless another is named), ``trials/<number>/`` (an
invocation each), ``result.json``, ``best.yaml``, ``plots/``. The driver holds the folder's lock.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import catalog, registry
from ..config.documents import suggestion
from ..config.errors import Fault
from ..config.names import plain
from ..config.private import complete, remember, written
from ..config.recipe import Recipe, load, to_yaml
from ..runtime import build, folders
from ..tracking.store import resolve_uri, to_store
from . import search
from .search import Objective


@dataclass
class Study:
    """A study's folder and what it is told to do."""

    folder: Path
    plan: dict[str, Any]

    @property
    def recipe(self) -> Recipe:
        return load(self.plan["recipe"], None, [])

    @property
    def objectives(self) -> list[Objective]:
        return [Objective(**o) for o in self.plan["objectives"]]

    def trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def save(self) -> None:
        """Write the plan."""
        folders.write_json(self.folder / "study.json", self.plan)


def create(
    recipe: Recipe, *, methods: Sequence[str], trials: int | None, sampler: str | None, pruner: str | None, objectives: Sequence[str],
    seed: int, device: str, out: Path, name: str | None, storage: str | None, tracking_uri: str | None,
) -> Study:  # fmt: skip
    """A new study's folder with its plan. Raises Fault with what is wrong with the search."""
    catalog.resolve(recipe)
    method = search.method_of(recipe, methods)
    ranges = search.space(recipe, method)
    wanted = search.objectives(recipe, objectives, method)
    sampler, pruner = sampler or recipe.sweep.sampler, pruner or recipe.sweep.pruner
    for given, known, option in (
        (sampler, ("tpe", "random", "grid", "cmaes", "nsga2"), "--sampler"),
        (pruner, ("none", "median", "hyperband"), "--pruner"),
    ):
        if given not in known:
            raise Fault.usage(
                f"unknown {option[2:]} '{given}'{suggestion(given, known)}", option, f"{option} {known[0]}"
            )
    if pruner != "none" and len(wanted) > 1:
        raise Fault.usage(
            "Optuna cannot prune several objectives", "--pruner", "leave --pruner out, or name one --objective"
        )
    if pruner != "none" and not wanted[0].name.startswith("valid/"):
        raise Fault.usage(
            "pruning needs an objective that is measured after every experience",
            "--pruner",
            f"--objective valid/{registry.problem(recipe.problem).main}/average",
        )
    points = search.grid(ranges) if sampler == "grid" else None
    search.sampler(sampler, 0)
    count = trials or (len(points) if points else recipe.sweep.trials)
    if points is not None:
        count = min(count, len(points))
    if recipe.train.threads == 0:
        recipe = search.apply(recipe, {"train.threads": recipe.sweep.threads})
    out = out.resolve()
    label = name or f"{recipe.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    if not plain(label):
        raise Fault.usage(f"{label!a} is no name for a study (letters, digits, - _ .)", "--study", "--study tuned")
    if recipe.train.selection == "oracle":
        raise Fault.usage("weights chosen on test rows would leak into the trials' objective", "train.selection", "train.selection=validation, or last")  # fmt: skip
    folder = out / (f"study-{label}")
    if (folder / "study.json").exists():
        raise Fault.usage(
            "there is a study of this name", str(folder), f"suites sweep ... --study {label} --resume, or another name"
        )
    places = {"storage": to_file(storage), "tracking_uri": to_store(resolve_uri(out, tracking_uri))}
    folders.make(folder / "trials", "the study's folder")
    plan = {
        "schema": 1, "study": label, "uid": secrets.token_hex(8), "suite": recipe.name, "recipe": to_yaml(recipe), "method": method,
        "params": {path: r.model_dump(exclude_none=True) for path, r in ranges.items()}, "objectives": [vars(o) for o in wanted],
        "trials": count, "sampler": sampler, "pruner": pruner, "seed": seed, "device": build.device_of(device),
        "git": folders.git_state(), **places,
    }  # fmt: skip
    made = Study(folder, plan)
    made.save()
    return made


def to_file(storage: str | None) -> str | None:
    """The storage's URL without its login, which is kept for this process alone. Raises Fault where it is no URL."""
    try:
        return remember(storage) if storage else None
    except ValueError as error:
        raise Fault.usage(str(error), "--storage", "--storage postgresql://USER:PASSWORD@HOST/DATABASE") from error  # fmt: skip


def find(target: str, out: Path, storage: str | None = None) -> Study | None:
    """The study at a path, or of a name under OUT; None where there is none.

    ``storage``: the address of its storage with the login, which no file holds. Raises Fault where the study has another one.
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
    plan = folders.read_json(folder / "study.json")
    text = {"study", "uid", "suite", "recipe", "method", "device"}
    whole = isinstance(plan, dict) and plan.get("schema") == 1 and all(isinstance(plan.get(key), str) for key in text)
    if (
        not whole
        or not all(plain(plan[key]) for key in ("study", "suite", "method"))
        or type(plan.get("seed")) is not int
    ):
        raise Fault.data("study.json is damaged: no plan of a study", str(folder), "put the file back as it was, or start another study")  # fmt: skip
    return Study(folder, plan)


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
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_OwnLock()))  # type: ignore[arg-type, unused-ignore]
    try:
        made = optuna.create_study(
            storage=storage, study_name=study.plan["study"], directions=[o.direction for o in study.objectives], load_if_exists=True,
            pruner=search.pruner(study.plan["pruner"]), sampler=search.sampler("random", 0),
        )  # fmt: skip
        owner = made.user_attrs.get("holdfast.uid")
        if owner is None and not made.get_trials(deepcopy=False):
            made.set_user_attr("holdfast.uid", study.plan["uid"])
            owner = study.plan["uid"]
    except Exception as error:
        raise Fault.usage(
            f"the storage does not answer: {str(error).splitlines()[0]}",
            str(storage),
            "--storage URL of a database that runs; its login again in HOLDFAST_STORAGE",
        ) from error
    if owner != study.plan["uid"]:
        raise Fault.usage(
            f"the storage holds another study named '{study.plan['study']}'", str(storage), "--study another name"
        )
    return made
