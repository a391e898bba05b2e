"""What the runs of an invocation say together, for their common run in MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import measures, run_files
from ..config.errors import Fault
from ..config.markdown import markdown_table
from ..tracking import parents
from ..tracking.sender import RunIdentity, ended
from ..tracking.store import to_store
from . import folders
from .identity import changed_of, command, finals_of, source_name
from .plan import Invocation


def deliver(invocation: Invocation, uri: str | None = None) -> str | None:
    """Send the summary of a finished invocation to the store of its runs (or ``uri``); what went wrong, or None.

    Nothing where a run is unfinished, or where the invocation is a trial of a study, whose own run stands above it.
    """
    try:
        runs = [invocation.run_folder(entry) for entry in invocation.plan["runs"]]
        if "trial" in invocation.plan or not all(folders.status(run) == "finished" for run in runs):
            return None
        summary = _summary(invocation, runs)
    except Fault as error:  # a damaged file must hide neither these runs nor others
        return error.what
    try:
        identity, own = RunIdentity.of_folder(runs[0])
    except Fault:
        return None  # runs that MLflow has not been given
    return parents.send(runs[0], identity, uri or own, summary)


def deliver_all(out: Path, uri: str | None) -> list[dict[str, Any]]:
    """:func:`deliver` for every invocation below ``out``, or the one that it lies in; folder and problem of each."""
    given = to_store(uri) if uri else None
    below = {path.parent for path in out.rglob("invocation.json")}
    above = {folder for folder in (out, *out.parents[:1]) if (folder / "invocation.json").exists()}
    return [{"folder": str(folder), "problem": deliver(Invocation(folder), given)} for folder in sorted(below | above)]


def _summary(invocation: Invocation, runs: Sequence[Path]) -> parents.Summary:
    from ...analysis.statistics import estimate

    plan, recipe = invocation.plan, invocation.recipe
    known = measures.of_recipe(recipe)
    methods = list(dict.fromkeys(entry["method"] for entry in plan["runs"]))
    seeds = sorted({int(entry["seed"]) for entry in plan["runs"]})
    metrics = [run_files.read(run / "summary.json", run_files.Summary) for run in runs]
    by_method = {
        method: [m for m, entry in zip(metrics, plan["runs"], strict=True) if entry["method"] == method]
        for method in methods
    }
    names = [name for name in finals_of(recipe) if any(name in m for m in metrics)]
    leading = next((name for name in names if name.startswith(f"{known.main.name}/")), "")
    values: dict[str, float] = {}
    rows = []
    for method, each in by_method.items():
        cells = []
        for name in names:
            given = [m[name] for m in each if name in m and math.isfinite(m[name])]
            one = estimate(given) if given else None
            if one is not None and name == leading:
                values[f"{name}/{method}"] = one.mean
                if one.n > 1:
                    values[f"{name}/{method}/half"] = one.half
            interval = f" ± {one.half:.3f}" if one is not None and one.n > 1 else ""
            cells.append("-" if one is None else f"{one.mean:.3f}{interval}")
        rows.append([method, str(len(each)), *cells])
    columns = ["method", "seeds", *names]
    changed = changed_of(recipe)
    shared = {"methods": ", ".join(methods), "seeds": ", ".join(map(str, seeds)), "profile": str(recipe.profile)}
    tags = {
        "suite": recipe.name,
        "profile": str(recipe.profile),
        "data": plan["data"]["source"],
        "mlflow.source.name": source_name("run"),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": str(plan["git"].get("commit", "")),
    }
    note = (
        f"**{recipe.title}**: {len(methods)} methods, {len(seeds)} seed{'s' * (len(seeds) > 1)}, "
        f"data: {plan['data']['source']}.\n\n{markdown_table(columns, rows)}\n\n"
        f"Mean{' ± half of the 95 % interval over seeds' * (len(seeds) > 1)}; of {known.main.name} {known.main.words}. "
        f"Differences on the same seeds and their tests: `suites compare {invocation.folder.name}`.\n\n"
        f"`{command(recipe, methods, seeds, changed)}`"
    )
    ends = [end for run in runs if (end := ended(run)) is not None]
    return parents.Summary(
        values,
        {**shared, **changed},
        tags,
        note,
        [invocation.folder / "plots"],
        {"columns": columns, "data": rows},
        max(ends, default=None),
    )
