"""What comes out of a study: its document, the best recipe, pictures, its own run in MLflow, and the best run again
on fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..config import catalog, measures, protocol, registry, run_files
from ..config.errors import Fault
from ..config.evidence import Tuned
from ..config.private import written
from ..config.recipe import Recipe, to_document
from ..runtime import folders, invocation, recipes
from . import page, points
from .best_of import data_words
from .studies import Study, read
from .trials import trials_of

if TYPE_CHECKING:
    from ..runtime.console import Console


def conclude(study: Study, optuna_study: Any, console: Console) -> dict[str, Any]:
    """What a study's end leaves on the disk and in MLflow; its document."""
    document = report(study, optuna_study)
    write(study, optuna_study, document, console)
    return document


def report(study: Study, optuna_study: Any) -> dict[str, Any]:
    """The document of ``suites sweep``."""
    single = len(study.objectives) == 1
    rows = trials_of(study, optuna_study)
    complete = [row for row in rows if row["state"] == "complete"]
    if single:
        sign = 1 if study.objectives[0].direction == "maximize" else -1
        best: Any = max(complete, key=lambda row: (sign * row["value"], -row["number"])) if complete else None
    else:
        front = {t.number for t in optuna_study.best_trials} if complete else set()
        best = [row for row in complete if row["number"] in front]
    return {
        **{key: study.plan[key] for key in ("study", "suite", "method", "objectives")},
        "out": str(study.folder),
        "trials": rows,
        "best": best,
        "ties": ties([row["value"] for row in complete], best["value"]) if single and best else None,
        "importances": importances(optuna_study, study.plan["seed"]) if single else None,
    }


def ties(values: Sequence[float], best: float) -> dict[str, Any] | None:
    """How many of the finished trials share the best value, where they are so many (half or more, and two at least)
    that the best trial says little; None else."""
    share = sum(value == best for value in values)
    return {"share": share, "of": len(values), "value": best} if share > 1 and 2 * share >= len(values) else None


FANOVA = "fANOVA"  # Optuna's default gave a parameter that decided everything next to nothing


def _evaluator(seed: int) -> Any:
    from optuna.importance import FanovaImportanceEvaluator

    return FanovaImportanceEvaluator(seed=seed)


def importances(optuna_study: Any, seed: int) -> dict[str, Any] | None:
    """Share of the objective's variance over the trials that each parameter explains, largest first.

    fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014): main effects in a random forest of the trials, with the
    evaluator's name. None where they are fewer than two or all equal.
    """
    import warnings

    from optuna.importance import get_param_importances
    from optuna.trial import TrialState

    done = optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({t.value for t in done}) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(optuna_study, evaluator=_evaluator(seed))
    return {"evaluator": FANOVA, "seed": seed, "values": {name: float(value) for name, value in shares.items()}}


def best_recipe(study: Study, row: Mapping[str, Any]) -> Recipe:
    """The recipe with a trial's values, as ``suites run`` takes it."""
    given = [f"{path}={value}" for path, value in row["params"].items()]
    recipe = recipes.apply(study.recipe, row["params"])
    recipe = protocol.by_hand(study.recipe, recipe, registry.kinds(recipe), given)
    recipe = recipes.apply(recipe, {"defaults": [study.plan["method"]]})
    facts = {"study": study.plan["study"], "method": study.plan["method"], "data": data_words(study.recipe)}
    tuned = Tuned(**facts, fields=tuple(row["params"]), same_data=True)
    return recipe.model_copy(update={"tuned": tuned})


def best_file(study: Study, row: dict[str, Any]) -> str:
    """A recipe file of the trial's setting; which trial it was is said in a comment of one line, however many fields
    there are."""
    values = yaml.safe_dump(row["params"], default_flow_style=True, width=math.inf).strip()
    document = to_document(best_recipe(study, row))
    document.pop("profile", None)
    return f"# Trial {row['number']} of the study {study.plan['study']}: {values}\n" + yaml.safe_dump(
        document, sort_keys=False, width=120
    )


def write(study: Study, optuna_study: Any, document: dict[str, Any], console: Console) -> None:
    """``best.yaml`` (one a point of the front), ``result.json``, pictures; then the study's own MLflow run."""
    best = document["best"]
    chosen = [] if not best else best if isinstance(best, list) else [best]
    for row in chosen:
        name = "best.yaml" if len(chosen) == 1 else f"best-{row['number']:04d}.yaml"
        (study.folder / name).write_text(written(best_file(study, row)))
    folders.write_json(study.folder / "result.json", document)
    draw_pictures(study, optuna_study, console)
    problem = parent_run(study, document)
    if problem:
        console.warning(f"the study's summary is not in MLflow ({problem}): suites sync {study.folder}")


def draw_pictures(study: Study, optuna_study: Any, console: Console) -> None:
    """History, importances and slices, or the Pareto front. One that fails is a warning."""
    from optuna.trial import TrialState

    from ...analysis.plots import study as plots
    from ...analysis.plots.figure import headed, spared

    done = optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < 2:
        return
    folder = study.folder / "plots"
    folder.mkdir(exist_ok=True)
    objectives = [_objective(study, o) for o in study.objectives]
    pictures: dict[str, Any] = {}
    if len(objectives) == 1:
        values = {t.number: t.value for t in done}
        pictures["history.png"] = lambda path: plots.history(values, objectives[0], path)
        points: dict[str, list[tuple[Any, float]]] = {}
        for t in done:
            for name, value in t.params.items():
                points.setdefault(name, []).append((value, t.value))
        log = {name for t in done for name, kind in t.distributions.items() if getattr(kind, "log", False)}
        pictures["slice.png"] = lambda path: plots.slices(points, log, objectives[0], path)
        shares = importances(optuna_study, study.plan["seed"])  # None: equal values leave nothing to explain
        if shares is not None:
            pictures["importances.png"] = lambda path: plots.importances(shares["values"], shares["evaluator"], path)
    else:
        best = {t.number for t in optuna_study.best_trials}
        trials = [(t.values, t.number in best) for t in done]
        pictures["pareto.png"] = lambda path: plots.front(trials, objectives, path)
    profile = str(study.recipe.profile or "")
    with headed(
        study.plan["suite"], study.plan["method"], f"study {study.plan['study']}", profile, draft=profile == "smoke"
    ):
        for name, picture in pictures.items():
            with spared(folder / name, console.warning) as path:
                picture(path)


def _objective(study: Study, objective: Any) -> Any:
    """An objective with its unit, as pictures name it."""
    from ...analysis.plots.figure import measure
    from ...analysis.plots.study import Objective

    known = measures.of_recipe(study.recipe)
    metric = known.get(objective.name)
    label = measure(objective.name, "", metric.unit if metric is not None else "")
    return Objective(label, objective.direction == "maximize")


def parent_run(study: Study, document: dict[str, Any], uri: str | None = None) -> str | None:
    """The study's own run in MLflow (:mod:`.page`); what went wrong, where a store does not answer."""
    return page.send(study, page.summary(study, document), uri)


def rerun_best(study: Study, document: dict[str, Any], seeds: int, console: Console) -> dict[str, Any]:
    """The best recipe beside the untuned one on test, with seeds that no trial used.

    Means, the paired difference with its 95 % interval, and which of the two is better by the metric's direction.
    """
    from ...analysis.statistics import paired

    if not isinstance(document["best"], dict):
        raise Fault.usage("there is no single best trial", "--rerun-best", "run one of the best-*.yaml files")
    known = measures.of_recipe(study.recipe)
    metric = known[f"{known.main.name}/average"]
    fresh = [study.plan["seed"] + 1000 + i for i in range(seeds)]
    out: dict[str, Any] = {"seeds": fresh, "metric": metric.name, "direction": metric.words, "runs": {}}
    out["trial"] = document["best"]["number"]
    for name, recipe in (("best", best_recipe(study, document["best"])), ("default", study.recipe)):
        catalog.resolve(recipe)
        started = invocation.start(
            recipe,
            methods=[study.plan["method"]],
            seeds=fresh,
            device=study.plan["device"],
            out=study.folder / f"rerun-{name}",
            tracking_uri=study.plan["tracking_uri"],
            console=console,
        )
        runs = started.document()["runs"]
        out[name] = [run["metrics"][metric.name] for run in runs]
        out["runs"][name] = [
            {"seed": run["seed"], "folder": str(Path(run["folder"]).relative_to(study.folder))} for run in runs
        ]
    gain = paired(dict(zip(fresh, out["best"], strict=True)), dict(zip(fresh, out["default"], strict=True)))
    each = [a - b for a, b in zip(out["best"], out["default"], strict=True)]
    out["difference"] = {"mean": gain.mean, "each": each, "best_is": metric.judge(gain.mean)}
    if gain.n > 1:
        out["difference"] |= {"low": gain.mean - gain.half, "high": gain.mean + gain.half}
    return out


def keep_rerun(study: Study, document: dict[str, Any], console: Console) -> None:
    """Write what :func:`rerun_best` gave (``document["rerun"]``) into the study's folder, and bring its page up to
    date."""
    folders.write_json(study.folder / page.RERUN, document["rerun"])
    problem = parent_run(study, document)
    if problem:
        console.warning(f"the reruns are not on the study's page in MLflow ({problem}): suites sync {study.folder}")


def deliver(out: Path, tracking_uri: str | None) -> list[dict[str, Any]]:
    """Send the studies in ``out`` that have ended to MLflow; folder and problem of each."""
    rows = []
    for folder in folders.studies(out):
        if (folder / "result.json").exists():
            try:
                document = run_files.read(folder / "result.json", run_files.StudyResult)
                study = read(folder)
                problem = (points.parent_run if study.is_grid else parent_run)(study, document, tracking_uri)
            except Fault as fault:
                problem = fault.what
            rows.append({"folder": str(folder), "problem": problem})
    return rows
