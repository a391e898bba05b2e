"""What comes out of a grid: its points, which strength a method's loss comes from, a picture, its own run in MLflow.

The loss is that of the main metric on test rows after the last experience: 1 - m of a share of which higher is better,
m where lower is better, -m else. A method's forgetting is its loss minus that of joint training (the method with
``uses_union``) at the same strengths and seed. Nothing is selected.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..config import measures, registry
from ..runtime import folders
from ..runtime.identity import colour_of
from ..tracking import parents
from ..tracking.files import write_atomic
from . import attributed, page
from .studies import METHOD, SEED, Study
from .trials import trials_of

if TYPE_CHECKING:
    from ...analysis.attribution import Point
    from ...analysis.metrics.metric import Metric
    from ..runtime.console import Console

LOSS, FORGETTING = "loss", "forgetting"
POINTS, TABLE, TEXT, CHANGES = "points.csv", "attribution.csv", "attribution.md", "changes.csv"
PICTURE = "strengths.png"


def conclude(study: Study, optuna_study: Any, console: Console) -> dict[str, Any]:
    """What a grid's end leaves on the disk and in MLflow; its document."""
    document = report(study, optuna_study)
    lack = document["lacking"]
    if lack:
        console.warning(f"{lack} of {study.plan['trials']} points have no value: {attributed.states(document)}")
    _write(study, document)
    _draw(study, document, console)
    problem = parent_run(study, document)
    if problem:
        console.warning(f"the grid's summary is not in MLflow ({problem}): suites sync {study.folder}")
    return document


def loss_of(metric: Metric, value: float) -> float:
    """The loss that a value of the metric is."""
    if not metric.higher_is_better:
        return value
    return 1 - value if metric.unit == "share" else -value


def loss_words(metric: Metric) -> str:
    """What :func:`loss_of` is, for an axis."""
    if not metric.higher_is_better:
        return metric.name
    return f"1 - {metric.name}" if metric.unit == "share" else f"-{metric.name}"


def report(study: Study, optuna_study: Any) -> dict[str, Any]:
    """The document of a grid: ``points`` (a row a trial that has a value), ``levels``, ``variance``, ``changes``."""
    rows, metric = trials_of(study, optuna_study), _metric(study)
    ranges = study.ranges
    paths = [path for path in ranges if path not in (METHOD, SEED)]
    joint = next((m for m in study.methods if registry.kind_of(study.recipe, m).uses_union), None)
    found = []
    for row in rows:
        if row["state"] == "complete":
            method, seed = study.part(row["params"])
            values = {path: float(row["params"][path]) for path in paths}
            loss = loss_of(metric, row["value"])
            found.append({METHOD: method, SEED: seed, "strengths": values, "value": row["value"], LOSS: loss})
    best = {(p[SEED], *p["strengths"].values()): p[LOSS] for p in found if p[METHOD] == joint}
    for point in found:
        there = best.get((point[SEED], *point["strengths"].values()))
        point[FORGETTING] = None if there is None or point[METHOD] == joint else point[LOSS] - there
    document = {
        **{key: study.plan[key] for key in ("study", "suite", "methods", "seeds")},
        "grid": {path: list(ranges[path].choices or ()) for path in paths},
        "metric": {**asdict(metric), "loss": loss_words(metric)},
        "joint": joint,
        "out": str(study.folder),
        "trials": rows,
        "points": found,
        "lacking": study.plan["trials"] - len(found),
    }
    names = list(shorts(paths).values())
    kinds = [(LOSS, m) for m in study.methods] + [(FORGETTING, m) for m in study.methods if joint and m != joint]
    series = {(kind, method): series_of(document, method, kind) for kind, method in kinds}
    return document | attributed.found(series, names)


def _metric(study: Study) -> Metric:
    name = study.objectives[0].name
    return measures.of_recipe(study.recipe)[name]


def shorts(paths: Sequence[str]) -> dict[str, str]:
    """Path -> its last word, by which a strength is called; the whole path where a column of that name is another."""
    words = {path: path.rpartition(".")[2] for path in paths}
    return {path: path if word in (METHOD, SEED) else word for path, word in words.items()}


def series_of(document: Mapping[str, Any], method: str, kind: str) -> list[Point]:
    """The losses (or what of them is forgetting) of a method."""
    from ...analysis.attribution import Point

    return [
        Point(p[SEED], tuple(p["strengths"].values()), p[kind])
        for p in document["points"]
        if p[METHOD] == method and p[kind] is not None
    ]


# -- files -------------------------------------------------------------------------------------------------------------


def table_of(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of the points: method, seed, each strength, the metric, its loss, forgetting."""
    names = shorts(list(document["grid"]))
    header = [METHOD, SEED, *names.values(), document["metric"]["name"], LOSS, FORGETTING]
    rows = []
    for p in sorted(document["points"], key=lambda p: (p[METHOD], *p["strengths"].values(), p[SEED])):
        numbers = [*p["strengths"].values(), p["value"], p[LOSS], p[FORGETTING]]
        rows.append([p[METHOD], str(p[SEED]), *("" if x is None else f"{x:.6g}" for x in numbers)])
    return header, rows


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _write(study: Study, document: dict[str, Any]) -> None:
    write_atomic(study.folder / POINTS, _csv(*table_of(document)).encode())
    for name, table in ((TABLE, attributed.variance_table(document)), (CHANGES, attributed.changes_table(document))):
        write_atomic(study.folder / name, _csv(*table).encode())
    write_atomic(study.folder / TEXT, attributed.text(document).encode())
    folders.write_json(study.folder / "result.json", document)


def _draw(study: Study, document: Mapping[str, Any], console: Console) -> None:
    """The losses against each strength. What fails is a warning."""
    from ...analysis.plots.figure import headed, spared
    from ...analysis.plots.strengths import strengths

    series = {method: series_of(document, method, LOSS) for method in document["methods"]}
    series = {method: points for method, points in series.items() if points}
    if not series:
        return
    (study.folder / "plots").mkdir(exist_ok=True)
    names = list(shorts(list(document["grid"])).values())
    colours = {method: colour_of(study.recipe, method) for method in series}
    profile = str(study.recipe.profile or "")
    with (
        headed(document["suite"], f"grid {document['study']}", profile, draft=profile == "smoke"),
        spared(study.folder / "plots" / PICTURE, console.warning) as path,
    ):
        strengths(series, names, document["metric"][LOSS], path, colours=colours)


# -- MLflow ------------------------------------------------------------------------------------------------------------


def parent_run(study: Study, document: Mapping[str, Any], uri: str | None = None) -> str | None:
    """The grid's own run in MLflow; what went wrong, where a store does not answer."""
    return page.send(study, _summary(study, document), uri)


def _summary(study: Study, document: Mapping[str, Any]) -> parents.Summary:
    plan, names = study.plan, shorts(list(document["grid"]))
    header, rows = attributed.variance_table(document)
    params = {f"grid.{path}": ", ".join(f"{v:g}" for v in values) for path, values in document["grid"].items()}
    params |= {"methods": ", ".join(study.methods), "seeds": ", ".join(map(str, study.seeds))}
    params |= {"profile": str(study.recipe.profile), "joint": document["joint"] or "none"}
    states = Counter(row["state"] for row in document["trials"])
    note = (
        f"**Grid {plan['study']}** of {plan['suite']} ({study.recipe.title}): {', '.join(study.methods)} at all "
        f"combinations of {', '.join(names.values())}, {len(study.seeds)} seeds; "
        f"{', '.join(f'{count} {state}' for state, count in states.items())}.\n\n{attributed.text(document)}"
    )
    files = [study.folder / name for name in (POINTS, TABLE, CHANGES, TEXT, "result.json", "plots")]
    values = {f"{LOSS}/{row[METHOD]}/{_key(row)}": row["mean"] for row in document["levels"]}
    return parents.Summary(
        {name: value for name, value in values.items() if math.isfinite(value)},
        params,
        page.tags_of(study, document, "run"),
        note,
        [path for path in files if path.exists()],
        {"columns": header, "data": rows},
    )


def _key(row: Mapping[str, Any]) -> str:
    """A combination of strengths in the letters that MLflow takes."""
    return " ".join(f"{name} {value:g}" for name, value in row["strengths"].items())
