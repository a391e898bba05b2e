"""The page of a study in MLflow: the best trials, what was searched, importances, and the runs to go on to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.markdown import markdown_table
from ..runtime.board import values_text
from ..runtime.identity import source_name
from ..tracking import parents
from ..tracking.sender import RunIdentity
from . import search
from .studies import Study

RERUN = "rerun.json"
MOST_ROWS = 10  # of the best trials, in the description; the table has all


def tags_of(study: Study, document: Mapping[str, Any], command: str) -> dict[str, str]:
    """What MLflow's run of a study or a grid is found by; ``command``: the verb that began it."""
    plan = study.plan
    return {
        "suite": plan["suite"],
        "profile": str(study.recipe.profile),
        "data": str(plan.get("data", {}).get("source", "")),
        "holdfast.study": plan["study"],
        "trials": str(len(document["trials"])),
        "mlflow.source.name": source_name(command),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": str(plan["git"].get("commit", "")),
    }


def summary(study: Study, document: Mapping[str, Any]) -> parents.Summary:
    """What the study's own run in MLflow holds. ``document``: of ``suites sweep``."""
    plan = study.plan
    best = _best(document)
    important = document.get("importances")
    values = {f"best/{o.name}": _extreme(best, i, o.direction) for i, o in enumerate(study.objectives) if best}
    if important:
        values |= {f"importance/{name}": value for name, value in important["values"].items()}
    space = {row[0]: row[1] for row in search.describe(search.parse_ranges(plan["params"]))}
    params = {
        "method": plan["method"],
        "sampler": plan["sampler"],
        "pruner": plan["pruner"],
        "seed": str(plan["seed"]),
        "profile": str(study.recipe.profile),
        **{f"space.{path}": text for path, text in space.items()},
        **({"importances": f"{important['evaluator']}, seed {important['seed']}"} if important else {}),
    }
    tags = tags_of(study, document, "sweep")
    tags["best"] = "; ".join(f"trial {row['number']}: {values_text(row['params'])}" for row in best[:3])
    names = [o.name for o in study.objectives]
    columns = ["trial", "state", *names, *space]
    rows = [[str(row["number"]), row["state"], *_cells(row, len(names), space)] for row in document["trials"]]
    paths = [study.folder / "result.json", study.folder / RERUN, study.folder / "plots"]
    return parents.Summary(
        values,
        params,
        tags,
        _note(study, document, best, space),
        [path for path in [*paths, *sorted(study.folder.glob("best*.yaml"))] if path.exists()],
        {"columns": columns, "data": rows},
        links=_links(study, best),
    )


def send(study: Study, summary: parents.Summary, uri: str | None = None) -> str | None:
    """Bring the study's own run in MLflow to what ``summary`` says; what went wrong, where a store does not answer."""
    identity = RunIdentity(
        run_uid="",
        suite=study.plan["suite"],
        invocation_uid=study.plan["uid"],
        method="",
        seed=0,
        params={},
        tags={},
        dataset={},
        parent_name=study.plan["study"],
    )
    return parents.send(study.folder, identity, uri or study.plan["tracking_uri"], summary)


def _best(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The best trial, or those of the front."""
    best = document["best"]
    return [] if not best else list(best) if isinstance(best, list) else [best]


def _values(row: Mapping[str, Any]) -> list[Any]:
    return list(row.get("values") or [row.get("value")])


def _extreme(rows: list[Mapping[str, Any]], i: int, direction: str) -> float:
    """The best value of objective ``i`` among the best trials."""
    values = [float(_values(row)[i]) for row in rows]
    return max(values) if direction == "maximize" else min(values)


def _cells(row: Mapping[str, Any], n: int, space: Mapping[str, str]) -> list[str]:
    """A trial's ``n`` objectives and its values of the fields, as texts."""
    values = _values(row)
    values = [None] * n if values == [None] else values
    fields = [row["params"].get(path, "-") for path in space]
    return [
        *("-" if value is None else f"{value:.4f}" for value in values),
        *(f"{field:.4g}" if isinstance(field, float) else str(field) for field in fields),
    ]


def _note(study: Study, document: Mapping[str, Any], best: list[Mapping[str, Any]], space: Mapping[str, str]) -> str:
    plan, trials = study.plan, document["trials"]
    states = [row["state"] for row in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    aims = "; ".join(f"{o.direction} {o.name}" for o in study.objectives)
    parts = [
        f"**Study {plan['study']}**: {plan['method']} of {plan['suite']} ({study.recipe.title}), to {aims} on "
        f"validation rows; {plan['sampler']}, pruner {plan['pruner']}; {counts}."
    ]
    names = [o.name for o in study.objectives]
    if best:
        done = [row for row in trials if row["state"] == "complete"]
        if len(names) == 1:
            sign = -1 if study.objectives[0].direction == "maximize" else 1
            done.sort(key=lambda row: (sign * row["value"], row["number"]))
        else:
            done = [dict(row) for row in best]
        rows = [[str(row["number"]), *_cells(row, len(names), space)] for row in done]
        title = "Best trials" if len(names) == 1 else "Trials of the front"
        parts.append(
            f"{title} (all are in `table.json`):\n\n{markdown_table(['trial', *names, *space], rows[:MOST_ROWS])}"
        )
    important = (document.get("importances") or {}).get("values", {})
    share = [f"importance ({document['importances']['evaluator']})"] if important else []
    searched = [[path, text, *([f"{important.get(path, 0):.2f}"] if important else [])] for path, text in space.items()]
    parts.append(f"What was searched:\n\n{markdown_table(['field', 'values', *share], searched)}")
    again = reruns(study)
    if again is not None:
        parts.append(f"Trial {again['trial']} beside the untuned recipe on fresh seeds: {rerun_text(again)}.")
    parts.append("Pictures: Artifacts, `plots`. The best recipe: `best.yaml` there; `suites run best.yaml` runs it.")
    return "\n\n".join(parts)


def rerun_text(again: Mapping[str, Any]) -> str:
    """What the best recipe gave beside the untuned one, in a line."""
    d = again["difference"]
    interval = f" (95 %: {d['low']:+.4f} to {d['high']:+.4f})" if "low" in d else ""
    sure = "" if "low" in d and not d["low"] <= 0 <= d["high"] else ", not significant"
    how = f"best - untuned = {d['mean']:+.4f}{interval}: {d['best_is']}{sure}"
    return f"{again['metric']} ({again['direction']}): {how}"


def reruns(study: Study) -> dict[str, Any] | None:
    """What ``--rerun-best`` gave, where the study's folder holds it."""
    path = study.folder / RERUN
    return dict(run_files.read(path)) if path.exists() else None


def _links(study: Study, best: list[Mapping[str, Any]]) -> list[tuple[str, Path]]:
    """Titles and folders of the runs to go on to: of the best trial, and of its reruns."""
    links = []
    for row in best[:MOST_ROWS]:
        links.append((f"trial {row['number']}", _run_of(study, row["number"])))
    again = reruns(study)
    rerun = {} if again is None else again["runs"]
    for name, title in (("best", "best recipe"), ("default", "untuned recipe")):
        links += [(f"{title}, seed {run['seed']}", study.folder / run["folder"]) for run in rerun.get(name, ())]
    return links


def _run_of(study: Study, number: int) -> Path:
    """The folder of a trial's one run."""
    return study.trial_folder(number) / f"{study.plan['method']}-s{study.plan['seed']}"
