"""A comparison as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config.errors import Fault

SUFFIXES = (".png", ".pdf", ".svg")


def picture(document: Mapping[str, Any], path: Path) -> None:
    """Where the tasks differ in one field of the data: the metric over it, a line a method. Else the methods beside
    each other, with a dot for each seed and intervals, a panel for each task and metric.

    A path that ends in ``.png`` gets a PDF beside it. Raises Fault for another suffix than :data:`SUFFIXES`, where
    there is nothing to draw, and where the file cannot be written.
    """
    from ...analysis.plots.figure import headed

    if path.suffix not in SUFFIXES:
        what = f"a picture ends in {', '.join(SUFFIXES)}, this one in '{path.suffix}'"
        raise Fault.usage(what, "--picture", f"suites compare ... --picture {path.with_suffix('.png').name}")
    documents = [one for one in document.get("metrics", [document]) if one["tasks"]]
    if not documents:
        what = f"no run has a finite {document['metric']}: there is nothing to draw"
        raise Fault.usage(what, "--picture", "suites compare ... --metric NAME")
    suites = dict.fromkeys(task["task"].partition(" ")[0] for task in document["tasks"])
    try:
        with headed(*suites):
            (_over_field if len(documents) == 1 and document["over"] is not None else _beside)(documents, path)
    except OSError as error:
        what = f"cannot write {path.name}: {error.strerror or error}"
        raise Fault.usage(what, str(path.parent), "name a file in a folder that exists with --picture") from error


def _colours(documents: list[Mapping[str, Any]]) -> dict[str, str]:
    return {row["method"]: row["colour"] for one in documents for task in one["tasks"] for row in task["methods"]}


def _over_field(documents: list[Mapping[str, Any]], path: Path) -> None:
    from ...analysis.plots.comparison import metric_over_field
    from ...analysis.plots.figure import measure

    (document,) = documents
    series: dict[str, list[tuple[str, float, float]]] = {}
    for task in document["tasks"]:
        for row in task["methods"]:
            series.setdefault(row["method"], []).append((task["at"], row["mean"], row["half"]))
    several = any(row["n"] > 1 for task in document["tasks"] for row in task["methods"])
    sure = f"; mean and 95 % interval over {document['tasks'][0]['unit']}" if several else ""
    title = f"{document['metric']}: {document['direction']}{sure}"
    label = measure(document["metric"], "", document["unit"])
    metric_over_field(series, document["over"], label, path, title=title, colours=_colours(documents))


def _beside(documents: list[Mapping[str, Any]], path: Path) -> None:
    from ...analysis.metrics.metric import Metric
    from ...analysis.plots.comparison import Row, metric_by_method, panel_of

    panels = []
    for document in documents:
        metric = Metric(document["metric"], document["higher_is_better"], document["unit"])
        for task in document["tasks"]:
            rows = [Row(row["method"], row["values"], row["mean"], row["half"]) for row in task["methods"]]
            about = task["task"] if len(document["tasks"]) > 1 else ""
            panels.append(panel_of(metric, rows, about, task["unit"]))
    metric_by_method(panels, path, colours=_colours(documents))
