"""What MLflow learns of a run besides its points: parameters, tags, notes, data set, view, and the run's parent."""

from __future__ import annotations

import functools
import getpass
import hashlib
import shlex
from collections.abc import Mapping
from typing import Any

from ...analysis.plots.palette import colour
from ..config import catalog, measures, registry, scratch
from ..config.documents import flat
from ..config.errors import Fault
from ..config.recipe import Recipe
from ..tracking.sender import RunIdentity
from ..tracking.shown import LOSSES, MOST, Shown, view_state

MOST_MODELS = 50  # experiences up to which each is a model in MLflow
SECTIONS = ("data", "model", "train", "evaluate", "diagnostics")


def identity(
    plan: dict[str, Any], state: Mapping[str, Any], method: str, seed: int, recipe: Recipe, data: dict[str, Any]
) -> RunIdentity:
    """The identity of the run whose ``run.json`` holds ``state``; a trial's parent is its study."""
    changed = changed_of(recipe)
    trial = plan.get("trial") or {}
    git = plan["git"]
    tags = {
        "method": method,
        "seed": str(seed),
        "suite": recipe.name,
        "profile": str(recipe.profile),
        "data": data["source"],
        "mlflow.runColor": colour_of(recipe, method),
        "mlflow.user": _user(),
        "mlflow.source.name": source_name("sweep" if trial else "run"),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": str(git.get("commit", "")),
        "holdfast.data_checksum": data["checksum"],
        "holdfast.git_dirty": str(git.get("dirty", "")),
        "holdfast.recipe_digest": plan["recipe_digest"],
        "holdfast.device": plan["device"],
        "holdfast.selection": recipe.train.selection,
    }
    fields = {f"method.{name}": scratch.short(text) for name, text in _texts(recipe.methods[method]).items()}
    params = {"method": method, "seed": str(seed), "profile": str(recipe.profile), **fields, **changed}
    if trial:
        tags |= {"holdfast.study": trial["study"], "holdfast.trial": str(trial["number"])}
        tags["method"] = f"{method}, trials of {trial['study']}"  # other settings: in no group with the method's runs
        params |= {f"sweep.{name}": _text(value) for name, value in trial["params"].items()}
    main = measures.metrics(recipe.problem, sets=recipe.evaluate.sets).main
    finals = finals_of(recipe)
    every = recipe.tracking.metrics == "all"
    shown = Shown(main.name, tuple(finals), recipe.data.experiences > 1, every, main.higher_is_better)
    leading = f"{main.name}/{'average' if shown.curves else 'last'}"
    return RunIdentity(
        run_uid=state["uid"],
        suite=recipe.name,
        invocation_uid=trial.get("study_uid", plan["uid"]),
        method=method,
        seed=seed,
        params=params,
        tags=tags,
        dataset={"name": scratch.short(recipe.data.name), "source": data["source"], "digest": data["checksum"]},
        name=f"trial-{trial['number']}" if trial else "",
        parent_name=trial.get("study", ""),
        note=_note(recipe, method, seed, data, changed),
        experiment_note=experiment_note(recipe),
        view=view_state(leading, [shown.final(name) for name in finals], main.higher_is_better),
        shown={**vars(shown), "finals": list(shown.finals)},
        started=state["started"],
        matrix=None if trial else test_experiences(recipe, data["checksum"]),
    )


def test_experiences(recipe: Recipe, checksum: str) -> list[dict[str, str]] | None:
    """Name and digest of each test experience; None of a single one, or of too many for MLflow's pages (``matrix.csv``
    holds them).

    The digest is of data and split. It is the same for all seeds: MLflow's table of models has a column a digest. Which
    classes a seeded order puts into an experience follows from the model's parameter ``seed``.
    """
    data = recipe.data
    if not 1 < data.experiences <= MOST_MODELS:
        return None
    rows = f"{checksum}/{data.experiences}/{data.split}/{data.class_order}"
    digests = [hashlib.sha256(f"{rows}/{j}".encode()).hexdigest()[:16] for j in range(data.experiences)]
    return [{"name": f"{data.name}/test/exp_{j}", "digest": digest} for j, digest in enumerate(digests)]


def source_name(verb: str) -> str:
    """What made a run, for MLflow's column Source."""
    return f"suites {verb}"


def finals_of(recipe: Recipe) -> list[str]:
    """The final values that MLflow shows: those of the screen's table; where there is one experience, without what
    repeats them.
    """
    problem = registry.problem(recipe.problem)
    names = [*problem.table, *(f"{name}/{problem.main}/last" for name in recipe.evaluate.sets)]
    if recipe.data.experiences == 1:
        names = [name for name in names if not name.endswith(("/average", "/forgetting"))]
    curves = 4 if recipe.data.experiences > 1 else 0  # after experiences, validation, by experience, best
    epochs = (1 if curves else 2) if recipe.train.selection in measures.ON_VALID else 0
    return [name for name in names if not name.startswith("cost/")][: MOST - LOSSES - max(2, curves + epochs)]


def colour_of(recipe: Recipe, method: str) -> str:
    """The colour of a method in all pages and pictures of its suite."""
    return colour(list(recipe.methods).index(method))


def command(recipe: Recipe, methods: list[str], seeds: list[int], changed: Mapping[str, str]) -> str:
    """The command that makes these runs; of a recipe that no suite's name stands for, from the ``recipe.yaml`` of one
    of them.
    """
    known = _suite(recipe.name, recipe.profile) is not None
    chosen = [word for method in methods for word in ("--method", method)]
    numbers = [word for seed in seeds for word in ("--seed", str(seed))] if len(seeds) == 1 else []
    if not numbers and seeds == list(range(len(seeds))):
        numbers = ["--seeds", str(len(seeds))]
    if not known:
        return shlex.join(["suites", "run", "recipe.yaml", *chosen, *numbers])
    profile = ["--profile", recipe.profile] if recipe.profile else []
    fields = [f"{path}={text}" for path, text in changed.items()]
    return shlex.join(["suites", "run", recipe.name, *profile, *chosen, *numbers, *fields])


def experiment_note(recipe: Recipe) -> str:
    """What the suite is, for a stranger."""
    paper = f"\n\nPaper: {recipe.paper}" if recipe.paper else ""
    claims = "\n".join(f"- {c.words}" for c in recipe.claims)
    claimed = f"\n\nWhat it must show:\n{claims}" if claims else ""
    train = recipe.train
    protocol = f"{recipe.data.experiences} experience{'s' * (recipe.data.experiences > 1)}, batches of "
    protocol += f"{train.batch_size}, {train.optimizer}; weights: {train.selection} (train.selection)"
    return f"{recipe.title}{paper}{claimed}\n\nProtocol: {protocol}. Methods: {', '.join(recipe.methods)}.\n\n" + (
        f"Made by `suites run {recipe.name}`; fields and their meaning: `suites show {recipe.name}`."
        if _suite(recipe.name, recipe.profile) is not None
        else "The recipe lies with every run as `recipe.yaml`."
    )


def _note(recipe: Recipe, method: str, seed: int, data: Mapping[str, Any], changed: Mapping[str, str]) -> str:
    summary = registry.kind_of(recipe, method).summary
    rows = ", ".join(f"{count:,} {split}" for split, count in data["rows"].items())
    return (
        f"**{method}**: {summary}. Suite {recipe.name} ({recipe.title}), seed {seed}, "
        f"data: {data['source']} ({rows}).\n\n"
        f"`{command(recipe, [method], [seed], changed)}`\n\n"
        "All points are in the run's `journal.jsonl`, the whole recipe in `recipe.yaml`.\n\n"
        "Predictions of single rows are not kept. Of test rows they are made again, from the run's checkpoint, by "
        f'`holdfast.suites.api.load_run("FOLDER").predict(range(100))`; FOLDER: `{method}-s{seed}` in that of the '
        "invocation."
    )


def changed_of(recipe: Recipe) -> dict[str, str]:
    """Fields of the recipe that differ from its suite's defaults in this profile, in plain text; of a recipe that no
    suite's name stands for, from the fields' own.
    """
    base = _suite(recipe.name, recipe.profile)
    changed: dict[str, str] = {}
    for name in SECTIONS:
        section = getattr(recipe, name)
        default = _defaults(section) if base is None else _texts(getattr(base, name).model_dump())
        texts = _texts(section.model_dump())
        changed |= {f"{name}.{p}": scratch.short(text) for p, text in texts.items() if default.get(p) != text}
    return {path: text for path, text in changed.items() if path != "train.threads"}


@functools.lru_cache(maxsize=16)
def _suite(name: str, profile: str | None) -> Recipe | None:
    """The suite of this name in a profile, once for all runs of it."""
    try:
        return catalog.recipe(name, profile)
    except Fault:
        return None


def _defaults(section: Any) -> dict[str, str]:
    fields = type(section).model_fields.items()
    return _texts({name: field.default for name, field in fields if not field.is_required()})


def _texts(document: Mapping[str, Any]) -> dict[str, str]:
    """Nested fields as ``path: text`` in plain text, as an override is written."""
    return {path[2:]: text for path, text in flat(_plain(document), "_").items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""
