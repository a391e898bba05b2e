"""A comparison as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

    documents = [one for one in document.get("metrics", [document]) if one["tasks"]]
    if not documents:
        what = f"no run has a finite {document['metric']}: there is nothing to draw"
        raise Fault.usage(what, "--picture", "suites compare ... --metric NAME")
    suites = dict.fromkeys(task["task"].partition(" ")[0] for task in document["tasks"])
    with written(path, "--picture"), headed(*suites):
        (_over_field if len(documents) == 1 and document["over"] is not None else _beside)(documents, path)


def rank_diagram(document: Mapping[str, Any], path: Path) -> None:
    """Average ranks over the tasks, and which methods they do not tell apart. Raises Fault as :func:`picture`, and
    where there are no ranks.
    """
    from ...analysis.plots.ranks import critical_difference

    ranks = document["ranks"]
    if not ranks or document.get("metrics"):
        why = f" ({'; '.join(document['not_comparable'])})" if document["not_comparable"] else ""
        what = f"ranks need several data sets, two methods that all of them have, and one metric{why}"
        raise Fault.usage(what, "--ranks", "suites compare FOLDER --metric NAME --ranks FILE")
    title = (
        f"{document['metric']} ({document['direction']}): average rank over {ranks['tasks']} tasks. Bars join "
        f"methods nearer than the critical difference {ranks['critical_difference']:.2f} (Nemenyi, 0.05)"
    )
    with written(path, "--ranks"):
        critical_difference(ranks["average_rank"], ranks["nemenyi_p"], path, title=title)


def profile_curves(document: Mapping[str, Any], path: Path) -> None:
    """Performance profiles over the tasks. Raises Fault as :func:`picture`, and where there are none."""
    from ...analysis.plots.figure import measure
    from ...analysis.plots.ranks import profiles

    whole = document["aggregate"] or {}
    if "profiles" not in whole or document.get("metrics"):
        why = f" ({'; '.join(whole['left_out'])})" if whole.get("left_out") else ""
        raise Fault.usage(f"there is no performance profile of one metric{why}", "--curves", "name one --metric")
    tasks = len(document["tasks"])
    title = f"{document['metric']} ({document['direction']}): performance profile, {tasks} task{'s' * (tasks > 1)}"
    label, higher = measure(document["metric"], "", document["unit"]), document["higher_is_better"]
    with written(path, "--curves"):
        profiles(whole["profiles"]["at"], whole["profiles"]["share"], label, path, title=title, higher=higher)


@contextmanager
def written(path: Path, option: str, command: str = "suites compare ...") -> Iterator[None]:
    """Refuses another suffix, and says where a file cannot be written."""
    if path.suffix not in SUFFIXES:
        what = f"a picture ends in {', '.join(SUFFIXES)}, this one in '{path.suffix}'"
        raise Fault.usage(what, option, f"{command} {option} {path.with_suffix('.png').name}")
    try:
        yield
    except OSError as error:
        what = f"cannot write {path.name}: {error.strerror or error}"
        raise Fault.usage(what, str(path.parent), f"name a file in a folder that exists with {option}") from error


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
