"""What ``suites run`` and ``suites resume`` show at their end: methods × metrics, the selection rule, where things
lie."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import measures, registry
from ..config.recipe import Recipe, to_yaml

SELECTED = {
    "last": "last weights of every experience; no test label was used to choose",
    "validation": "best weights on validation rows of all experiences seen so far; no test label was used to choose",
    "worst_class": "weights best for the worst class of the validation rows; no test label was used to choose",
    "oracle": "ORACLE, best weights on test rows: an upper bound, no result of a method",
}

MOST = 4  # columns that a name with * may become
SMOKE = "a few steps that show that everything runs; the numbers say nothing of a method (demo and paper do)"

Table = tuple[str, list[str], list[list[str]]]  # title, header, rows


def shown(recipe: Recipe, document: Mapping[str, Any]) -> list[str]:
    """The metrics of the screen's table: those that the problem names and some run has, and the main one of each
    evaluation set.
    """
    measured = {name for run in document["runs"] for name in run["metrics"]}
    problem = registry.problem(recipe.problem)
    of_sets = [f"{name}/{problem.main}/last" for name in recipe.evaluate.sets]
    names = [name for entry in (*problem.table, *of_sets) for name in matching(entry, measured)]
    return without_repeated(names, measured) if recipe.data.experiences == 1 else names


def matching(entry: str, measured: set[str]) -> list[str]:
    """The measured names that a column of the table means; a ``*`` stands for one word, of at most :data:`MOST`."""
    if "*" not in entry:
        return [entry] if entry in measured else []
    pattern = re.compile(re.escape(entry).replace(r"\*", "[^/]+"))
    found = sorted(filter(pattern.fullmatch, measured))
    return found if len(found) <= MOST else []


def without_repeated(names: Sequence[str], measured: set[str]) -> list[str]:
    """The names that say something of one experience: its average is the last value, and nothing is forgotten."""
    stems = [name.removesuffix("last") for name in measured if name.endswith("/last")]
    repeated = {f"{stem}{end}" for stem in stems for end in ("average", "forgetting")}
    return [name for name in names if name not in repeated]


def of_runs(recipe: Recipe, document: Mapping[str, Any]) -> Table:
    """A row a method: the mean over its finished runs, with the standard deviation of several."""
    names, runs = shown(recipe, document), document["runs"]
    methods = dict.fromkeys(run["method"] for run in runs)
    finished = {name: [run["metrics"] for run in runs if run["method"] == name and run["metrics"]] for name in methods}
    several = any(len(metrics) > 1 for metrics in finished.values())
    rows = []
    for method, metrics in finished.items():
        cells = [_cell([m[name] for m in metrics if name in m]) for name in names]
        rows.append([f"{method} ({len(metrics)})" if several else method, *cells])
    seeds = sorted({run["seed"] for run in runs})
    over = "mean ± standard deviation over (n) seeds" if several else f"seed {', '.join(map(str, seeds))}"
    title = f"{document['suite']} ({document['profile'] or 'recipe'}), data: {document['data']['source']}; {over}"
    first = "method (seeds)" if several else "method"
    return title, [first, *(name.replace("/", "\n").replace("_per_", "\nper ") for name in names)], rows


def _cell(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}" if values else "-"


def explained(recipe: Recipe, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How to read the table, as labels and sentences: directions, the rule of selection, and what a smoke is."""
    yield "better:    ", measures.directions(recipe.problem, shown(recipe, document), recipe.evaluate.sets)
    yield "selection: ", f"{SELECTED[recipe.train.selection]} (train.selection)"
    if document["profile"] == "smoke":
        yield "smoke:     ", SMOKE


def below(document: Mapping[str, Any]) -> Iterator[str]:
    """Paths and commands below the table, each on a line of its own."""
    folder = Path(document["out"])
    yield f"results:   {folder}"
    yield f"MLflow:    suites ui --out {folder.parent}"


def text_of(recipe: Recipe) -> str:
    """The recipe that a plan is of."""
    return to_yaml(recipe)


def of_plan(document: Mapping[str, Any]) -> Table:
    """What ``suites run --dry-run`` would do."""
    header = ["method", "parameters", "trainable", "steps", "seconds", "memory MiB", "disk MiB"]
    rows = [[str(value) for value in row.values()] for row in document["methods"]]
    return "would run (estimates from one timed step)", header, rows


def data_of_plan(document: Mapping[str, Any]) -> str:
    """What the data of ``suites run --dry-run`` takes, in a line."""
    data = document["data"]
    rows = ", ".join(f"{count} {split}" for split, count in data["rows"].items())
    return (
        f"data ({data['source']}): {rows}; columns: {data['memory_mib']} MiB in memory, {data['mapped_mib']} MiB in "
        f"mapped files (data.store: {data['store']})"
    )
